"""Linear algebra by looped transformers of fixed weights, with numpy's names and shapes."""

from sklearn_looped.programmed.algorithms.linalg.moments import Moments, moments
from sklearn_looped.programmed.algorithms.linalg.multiply import affine, matmul, transpose
from sklearn_looped.programmed.algorithms.linalg.newton import inv, solve
from sklearn_looped.programmed.algorithms.linalg.power import EighResult, eigh_power
from sklearn_looped.programmed.algorithms.linalg.result import Result, exponents, scale_back

__all__ = [
    "EighResult",
    "Moments",
    "Result",
    "affine",
    "eigh_power",
    "exponents",
    "inv",
    "matmul",
    "moments",
    "scale_back",
    "solve",
    "transpose",
]
