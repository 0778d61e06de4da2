from . import algoformer as algoformer
from . import csgraph as csgraph
from . import linalg as linalg

__all__: list[str]
