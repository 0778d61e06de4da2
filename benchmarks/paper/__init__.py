"""Experiments of papers, repeated: Yang et al. 2024 and Gao et al. 2024."""
