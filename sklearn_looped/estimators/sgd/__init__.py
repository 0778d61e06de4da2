"""Linear models by stochastic gradient descent inside a programmed looped transformer."""

from sklearn_looped.estimators.sgd.classifier import ProgrammedSGDClassifier
from sklearn_looped.estimators.sgd.many import fit_many
from sklearn_looped.estimators.sgd.regressor import ProgrammedSGDRegressor

__all__ = ["ProgrammedSGDClassifier", "ProgrammedSGDRegressor", "fit_many"]
