"""Neural networks trained by backpropagation inside a programmed looped transformer."""

from sklearn_looped.estimators.programmed_mlp.classifier import ProgrammedMLPClassifier
from sklearn_looped.estimators.programmed_mlp.regressor import ProgrammedMLPRegressor

__all__ = ["ProgrammedMLPClassifier", "ProgrammedMLPRegressor"]
