"""Weights found by meta-training."""
