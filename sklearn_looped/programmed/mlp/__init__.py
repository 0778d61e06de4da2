"""Backpropagation as a looped transformer: the block, its tape, and its host."""

from sklearn_looped.programmed.mlp.block import MLPBlock, OutputActivation
from sklearn_looped.programmed.mlp.tape import Network, Record, n_tokens, predict, punch, run

__all__ = [
    "MLPBlock",
    "Network",
    "OutputActivation",
    "Record",
    "n_tokens",
    "predict",
    "punch",
    "run",
]
