"""Algorithms as looped transformers of fixed weights, each a block of its own."""

import lazy_loader

# Folders are no attributes of their parent until imported: the lazy names above ask for these.
__getattr__, __dir__, _ = lazy_loader.attach(__name__, submodules={"csgraph", "linalg"})
