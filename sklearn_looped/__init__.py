"""Looped transformers as scikit-learn estimators.

One block of weights is applied again and again, ``state <- block(state + prompt)``. The weights
are either *learned* by meta-training or *programmed* by construction.
"""

import importlib
from typing import Any

__version__ = "0.1.0.dev0"

# Public name -> module. Importing the package must not import torch, which takes seconds.
_PUBLIC = {
    "LoopedICLClassifier": "sklearn_looped.estimators.in_context",
    "LoopedICLRegressor": "sklearn_looped.estimators.in_context",
    "LoopedICLRegressorCV": "sklearn_looped.estimators.in_context",
    "ProgrammedKMeans": "sklearn_looped.estimators.programmed_linalg",
    "ProgrammedKernelRegressor": "sklearn_looped.estimators.programmed_linalg",
    "ProgrammedLinearRegression": "sklearn_looped.estimators.programmed_linalg",
    "ProgrammedPCA": "sklearn_looped.estimators.programmed_linalg",
    "ProgrammedRidge": "sklearn_looped.estimators.programmed_linalg",
    "ProgrammedMLPClassifier": "sklearn_looped.estimators.programmed_mlp",
    "ProgrammedMLPRegressor": "sklearn_looped.estimators.programmed_mlp",
    "ProgrammedSGDClassifier": "sklearn_looped.estimators.programmed_linear",
    "ProgrammedSGDRegressor": "sklearn_looped.estimators.programmed_linear",
    "FleqMachine": "sklearn_looped.programmed.fleq",
    "SubleqMachine": "sklearn_looped.programmed.subleq",
}

__all__ = [*_PUBLIC, "__version__"]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
