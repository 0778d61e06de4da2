"""Stochastic gradient descent as a looped transformer: the block, its tape, and its host."""

from sklearn_looped.programmed.algorithms.sgd.block import MIN_BITS, Loss, SGDBlock
from sklearn_looped.programmed.algorithms.sgd.products import ProductKind
from sklearn_looped.programmed.algorithms.sgd.tape import (
    Lane,
    Punchcard,
    Samples,
    n_tokens,
    new_memory,
    punch,
    run_lanes,
    score_samples,
)
from sklearn_looped.programmed.algorithms.sgd.training import Learner, Rules, train

__all__ = [
    "MIN_BITS",
    "Lane",
    "Learner",
    "Loss",
    "ProductKind",
    "Punchcard",
    "Rules",
    "SGDBlock",
    "Samples",
    "n_tokens",
    "new_memory",
    "punch",
    "run_lanes",
    "score_samples",
    "train",
]
