"""Stochastic gradient descent as a looped transformer: the block, its tape, and its host."""

from sklearn_looped.programmed.sgd.block import SGDBlock
from sklearn_looped.programmed.sgd.tape import Lane, Samples, punch, run_lanes, score_samples
from sklearn_looped.programmed.sgd.training import Learner, Rules, train

__all__ = [
    "Lane",
    "Learner",
    "Rules",
    "SGDBlock",
    "Samples",
    "punch",
    "run_lanes",
    "score_samples",
    "train",
]
