"""Computers as looped transformers, whose program is data: SUBLEQ and FLEQ."""
