"""In-context estimators: `fit` keeps the support, `predict` runs a looped transformer over it."""

from sklearn_looped.estimators.in_context.base import predict_many
from sklearn_looped.estimators.in_context.classifier import LoopedICLClassifier
from sklearn_looped.estimators.in_context.cv import LoopedICLRegressorCV
from sklearn_looped.estimators.in_context.regressor import LoopedICLRegressor

__all__ = ["LoopedICLClassifier", "LoopedICLRegressor", "LoopedICLRegressorCV", "predict_many"]
