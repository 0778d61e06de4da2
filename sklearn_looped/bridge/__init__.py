"""Where the two halves meet: programmed loop bodies whose weights are learned.

A block is built by construction, computes at first what the programmed block computes, and is
then improved on a prior by `sklearn_looped.learned.training.metatrain.meta_train`. This package
sees both halves; neither of them sees it.
"""

from sklearn_looped.bridge.algoformer import AlgoFormerConfig
from sklearn_looped.bridge.descent import DescentConfig

__all__ = ["AlgoFormerConfig", "DescentConfig"]
