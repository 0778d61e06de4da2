"""Stochastic gradient descent as a looped transformer: the block, its tape, and its host."""

from sklearn_looped.programmed.sgd.block import MIN_BITS, Loss, SGDBlock
from sklearn_looped.programmed.sgd.products import ProductKind
from sklearn_looped.programmed.sgd.tape import (
    Lane,
    Punchcard,
    Samples,
    n_tokens,
    new_memory,
    punch,
    run_lanes,
    score_samples,
)
from sklearn_looped.programmed.sgd.training import Learner, Rules, train

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
