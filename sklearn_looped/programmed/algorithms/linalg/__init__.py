"""Linear algebra by looped transformers of fixed weights, with numpy's names and shapes."""

from sklearn_looped.programmed.algorithms.linalg.krylov import (
    ArnoldiResult,
    LanczosResult,
    QRResult,
    arnoldi,
    lanczos,
    qr,
)
from sklearn_looped.programmed.algorithms.linalg.least_norm import least_norm, least_norm_of_rows
from sklearn_looped.programmed.algorithms.linalg.moments import Moments, moments
from sklearn_looped.programmed.algorithms.linalg.multiply import affine, matmul, transpose
from sklearn_looped.programmed.algorithms.linalg.newton import inv, solve
from sklearn_looped.programmed.algorithms.linalg.power import EighResult, eigh
from sklearn_looped.programmed.algorithms.linalg.result import Result, exponents, scale_back
from sklearn_looped.programmed.algorithms.linalg.seidel import gauss_seidel

__all__ = [
    "Result",
    "arnoldi",
    "eigh",
    "gauss_seidel",
    "inv",
    "lanczos",
    "matmul",
    "qr",
    "solve",
    "transpose",
]
