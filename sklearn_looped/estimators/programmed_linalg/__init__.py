"""Estimators on programmed linear algebra: least squares, PCA, k-means, kernels."""

from sklearn_looped.estimators.programmed_linalg.decomposition import ProgrammedPCA
from sklearn_looped.estimators.programmed_linalg.kernel_machine import (
    ProgrammedKernelMachineRegressor,
)
from sklearn_looped.estimators.programmed_linalg.kmeans import ProgrammedKMeans
from sklearn_looped.estimators.programmed_linalg.least_squares import (
    ProgrammedLinearRegression,
    ProgrammedRidge,
)
from sklearn_looped.estimators.programmed_linalg.smoother import ProgrammedKernelRegressor

__all__ = [
    "ProgrammedKMeans",
    "ProgrammedKernelMachineRegressor",
    "ProgrammedKernelRegressor",
    "ProgrammedLinearRegression",
    "ProgrammedPCA",
    "ProgrammedRidge",
]
