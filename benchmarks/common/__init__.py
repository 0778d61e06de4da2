"""What the benchmarks share: rows and tables, times, pictures, options, OpenML tasks."""
