"""AlgoFormer by construction: a block before the loop, the loop, and a block after it.

The three tasks of Gao et al., each by one network of fixed weights: the block before the loop reads
and represents, the loop learns by gradient descent or Newton's method, the block after it answers.
"""

from sklearn_looped.programmed.algorithms.algoformer.functions import (
    autoregress,
    chain_of_thought,
    regress,
)

__all__ = ["autoregress", "chain_of_thought", "regress"]
