"""Stochastic gradient descent as a looped transformer: the block, its tape, and its host."""

from sklearn_looped.programmed.algorithms.epochs import Lane, Validation
from sklearn_looped.programmed.algorithms.sgd.block import Samples, SGDBlock, n_tokens
from sklearn_looped.programmed.algorithms.sgd.layers import Loss
from sklearn_looped.programmed.algorithms.sgd.products import ProductKind
from sklearn_looped.programmed.algorithms.sgd.training import SGDLearner, SGDRules, signs
