"""Neural networks trained by backpropagation inside a programmed looped transformer."""

from sklearn_looped.estimators.neural_network.classifier import ProgrammedMLPClassifier
from sklearn_looped.estimators.neural_network.regressor import ProgrammedMLPRegressor

__all__ = ["ProgrammedMLPClassifier", "ProgrammedMLPRegressor"]
