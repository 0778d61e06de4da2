"""Linear algebra by looped transformers of fixed weights, with numpy's names and shapes."""

from sklearn_looped.programmed.linalg.multiply import affine, matmul, transpose
from sklearn_looped.programmed.linalg.newton import inv, solve
from sklearn_looped.programmed.linalg.result import Array, Machine, Result

__all__ = ["Array", "Machine", "Result", "affine", "inv", "matmul", "solve", "transpose"]
