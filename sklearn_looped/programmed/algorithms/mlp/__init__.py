"""Backpropagation as a looped transformer: the block, its tape, and its host."""

from sklearn_looped.programmed.algorithms.mlp.block import MLPBlock, OutputActivation
from sklearn_looped.programmed.algorithms.mlp.tape import (
    Network,
    Record,
    n_tokens,
    predict,
    punch,
    run,
)
from sklearn_looped.programmed.algorithms.mlp.training import Learner, Rules, initial_network

__all__ = [
    "Learner",
    "MLPBlock",
    "Network",
    "OutputActivation",
    "Record",
    "Rules",
    "initial_network",
    "n_tokens",
    "predict",
    "punch",
    "run",
]
