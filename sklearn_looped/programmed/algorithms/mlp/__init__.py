"""Backpropagation as a looped transformer: the block, its tape, and its host."""

from sklearn_looped.programmed.algorithms.epochs import Lane, Validation
from sklearn_looped.programmed.algorithms.mlp.block import MLPBlock, Network, n_tokens
from sklearn_looped.programmed.algorithms.mlp.layers import Activation, Momentum, OutputActivation
from sklearn_looped.programmed.algorithms.mlp.training import (
    MLPLearner,
    MLPRules,
    Progress,
    decide,
    initial_network,
)
