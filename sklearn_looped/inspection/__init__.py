"""Displays in scikit-learn's style; matplotlib is needed only where one is drawn."""

import importlib
from typing import Any

# Public name -> module. Importing the package must not import torch, which takes seconds.
_PUBLIC = {
    "AttentionDisplay": "sklearn_looped.inspection.attention",
    "LoopCurveDisplay": "sklearn_looped.inspection.loop_curve",
    "MachineTraceDisplay": "sklearn_looped.inspection.machine_trace",
    "PredictionIntervalDisplay": "sklearn_looped.inspection.intervals",
}

__all__ = [*_PUBLIC]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
