"""Linear models by stochastic gradient descent inside a programmed looped transformer."""

from sklearn_looped.estimators.programmed_linear.classifier import ProgrammedSGDClassifier
from sklearn_looped.estimators.programmed_linear.many import fit_many
from sklearn_looped.estimators.programmed_linear.regressor import ProgrammedSGDRegressor

__all__ = ["ProgrammedSGDClassifier", "ProgrammedSGDRegressor", "fit_many"]
