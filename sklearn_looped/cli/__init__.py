"""Subcommands of ``python -m sklearn_looped``; each module adds its parser and runs it."""
