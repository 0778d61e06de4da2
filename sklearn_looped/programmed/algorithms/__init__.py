"""Algorithms as looped transformers of fixed weights, each a block of its own."""

import lazy_loader

# A folder is no attribute of its parent until it is imported; names imported lazily from here are.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
