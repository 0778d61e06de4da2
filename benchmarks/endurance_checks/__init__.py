"""Checks of `benchmarks/endurance.py`, each a function that returns a row of its table."""
