"""Transformers of fixed weights: fields, layers, heads, units, evaluation, certificates."""
