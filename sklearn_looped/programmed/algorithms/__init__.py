"""Algorithms as looped transformers of fixed weights, each a block of its own."""
