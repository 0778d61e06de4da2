"""The subcommands of ``python -m sklearn_looped``."""
