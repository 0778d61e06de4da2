"""Looped transformers as scikit-learn estimators.

One block of weights is applied again and again, ``state <- block(state + prompt)``. The weights
are either *learned* by meta-training or *programmed* by construction.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0.dev0"

# Public name -> module. Importing the package must not import torch, which takes seconds.
_PUBLIC = {
    "KernelMachineClassifier": "sklearn_looped.estimators.kernel",
    "KernelMachineRegressor": "sklearn_looped.estimators.kernel",
    "LoopedICLClassifier": "sklearn_looped.estimators.in_context",
    "LoopedICLRegressor": "sklearn_looped.estimators.in_context",
    "LoopedICLRegressorCV": "sklearn_looped.estimators.in_context",
    "ProgrammedKMeans": "sklearn_looped.estimators.programmed_linalg",
    "ProgrammedKernelMachineRegressor": "sklearn_looped.estimators.programmed_linalg",
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


if TYPE_CHECKING:  # the same names, for those who check or complete a user's program
    from sklearn_looped.estimators.in_context import LoopedICLClassifier as LoopedICLClassifier
    from sklearn_looped.estimators.in_context import LoopedICLRegressor as LoopedICLRegressor
    from sklearn_looped.estimators.in_context import LoopedICLRegressorCV as LoopedICLRegressorCV
    from sklearn_looped.estimators.kernel import (
        KernelMachineClassifier as KernelMachineClassifier,
    )
    from sklearn_looped.estimators.kernel import KernelMachineRegressor as KernelMachineRegressor
    from sklearn_looped.estimators.programmed_linalg import (
        ProgrammedKernelMachineRegressor as ProgrammedKernelMachineRegressor,
    )
    from sklearn_looped.estimators.programmed_linalg import (
        ProgrammedKernelRegressor as ProgrammedKernelRegressor,
    )
    from sklearn_looped.estimators.programmed_linalg import ProgrammedKMeans as ProgrammedKMeans
    from sklearn_looped.estimators.programmed_linalg import (
        ProgrammedLinearRegression as ProgrammedLinearRegression,
    )
    from sklearn_looped.estimators.programmed_linalg import ProgrammedPCA as ProgrammedPCA
    from sklearn_looped.estimators.programmed_linalg import ProgrammedRidge as ProgrammedRidge
    from sklearn_looped.estimators.programmed_linear import (
        ProgrammedSGDClassifier as ProgrammedSGDClassifier,
    )
    from sklearn_looped.estimators.programmed_linear import (
        ProgrammedSGDRegressor as ProgrammedSGDRegressor,
    )
    from sklearn_looped.estimators.programmed_mlp import (
        ProgrammedMLPClassifier as ProgrammedMLPClassifier,
    )
    from sklearn_looped.estimators.programmed_mlp import (
        ProgrammedMLPRegressor as ProgrammedMLPRegressor,
    )
    from sklearn_looped.programmed.fleq import FleqMachine as FleqMachine
    from sklearn_looped.programmed.subleq import SubleqMachine as SubleqMachine
else:

    def __getattr__(name: str) -> Any:
        if name not in _PUBLIC:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
