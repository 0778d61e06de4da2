"""Scripts that answer one question each: ``python -m benchmarks --list`` names them."""
