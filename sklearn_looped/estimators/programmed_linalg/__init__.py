"""Estimators on programmed linear algebra: least squares, PCA, k-means, kernel regression."""

from sklearn_looped.estimators.programmed_linalg.decomposition import ProgrammedPCA
from sklearn_looped.estimators.programmed_linalg.kmeans import ProgrammedKMeans
from sklearn_looped.estimators.programmed_linalg.least_squares import (
    ProgrammedLinearRegression,
    ProgrammedRidge,
)
from sklearn_looped.estimators.programmed_linalg.smoother import ProgrammedKernelRegressor

__all__ = [
    "ProgrammedKMeans",
    "ProgrammedKernelRegressor",
    "ProgrammedLinearRegression",
    "ProgrammedPCA",
    "ProgrammedRidge",
]
