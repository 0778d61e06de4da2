"""Kernel machines that learn their metric in a loop, in closed form and programmed."""

from sklearn_looped.estimators.kernel.classifier import KernelMachineClassifier
from sklearn_looped.estimators.kernel.programmed import ProgrammedKernelMachineRegressor
from sklearn_looped.estimators.kernel.regressor import KernelMachineRegressor
from sklearn_looped.estimators.kernel.smoother import ProgrammedKernelRegressor

__all__ = [
    "KernelMachineClassifier",
    "KernelMachineRegressor",
    "ProgrammedKernelMachineRegressor",
    "ProgrammedKernelRegressor",
]
