"""Linear algebra by looped transformers of fixed weights, with numpy's names and shapes."""

from sklearn_looped.programmed.linalg.moments import Moments, moments
from sklearn_looped.programmed.linalg.multiply import affine, matmul, transpose
from sklearn_looped.programmed.linalg.newton import inv, solve
from sklearn_looped.programmed.linalg.power import EighResult, eigh_power
from sklearn_looped.programmed.linalg.result import Array, Machine, Result, exponents, scale_back

__all__ = [
    "Array",
    "EighResult",
    "Machine",
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
