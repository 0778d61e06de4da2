from .algorithms import algoformer as algoformer
from .algorithms import csgraph as csgraph
from .algorithms import linalg as linalg

__all__: list[str]
