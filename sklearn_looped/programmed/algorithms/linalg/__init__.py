"""Linear algebra by looped transformers of fixed weights, with numpy's names and shapes."""

from sklearn_looped.programmed.algorithms.linalg.krylov import (
    ArnoldiResult,
    LanczosResult,
    QRResult,
    arnoldi,
    lanczos,
    qr,
)
from sklearn_looped.programmed.algorithms.linalg.moments import Moments, moments
from sklearn_looped.programmed.algorithms.linalg.multiply import affine, matmul, transpose
from sklearn_looped.programmed.algorithms.linalg.newton import inv, solve
from sklearn_looped.programmed.algorithms.linalg.power import EighResult, eigh_power
from sklearn_looped.programmed.algorithms.linalg.result import (
    Array,
    Machine,
    Result,
    exponents,
    scale_back,
)
from sklearn_looped.programmed.algorithms.linalg.seidel import gauss_seidel

eigh = eigh_power

__all__ = [
    "ArnoldiResult",
    "Array",
    "EighResult",
    "LanczosResult",
    "Machine",
    "Moments",
    "QRResult",
    "Result",
    "affine",
    "arnoldi",
    "eigh",
    "eigh_power",
    "exponents",
    "gauss_seidel",
    "inv",
    "lanczos",
    "matmul",
    "moments",
    "qr",
    "scale_back",
    "solve",
    "transpose",
]
