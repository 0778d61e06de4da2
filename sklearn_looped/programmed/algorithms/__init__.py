"""Algorithms as looped transformers of fixed weights, each a block of its own."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, submodules=["csgraph", "linalg"])
