"""Attacks of ``benchmarks/programmed_certificates.py``, one function a kind of certificate."""
