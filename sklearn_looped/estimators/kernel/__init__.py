"""Kernel machines: kernel ridge regression in a loop that learns its metric."""

from sklearn_looped.estimators.kernel.classifier import KernelMachineClassifier
from sklearn_looped.estimators.kernel.regressor import KernelMachineRegressor

__all__ = ["KernelMachineClassifier", "KernelMachineRegressor"]
