"""Options that several benchmarks have."""

import argparse
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sklearn_looped.cli.arguments import picture_file

N_ROWS = 1024  # training rows at most, of the rows in results/

# Options that say where data come from, where outputs go and how many processes run.
HOW = {"cache", "data", "folder", "jobs", "output", "picture", "worker"}


def changed(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, Any]:
    """Return the options that differ from their defaults and that rows depend on."""
    return {
        name: value
        for name, value in vars(args).items()
        if name not in HOW and value != parser.get_default(name)
    }


def as_typed(options: dict[str, Any]) -> str:
    """Return options as in a command line; none: the empty string."""
    words: list[str] = []
    for name, value in options.items():
        words.append(f"--{name.replace('_', '-')}")
        if value is not True:
            words += map(str, value if isinstance(value, list) else [value])
    return " ".join(words)


def folder(name: str) -> Path:
    """Turn an argument into a path; raise if there is no such folder."""
    path = Path(name)
    if not path.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {name}")
    return path


def add_picture(parser: argparse.ArgumentParser, what: str) -> None:
    """Add ``--picture``."""
    parser.add_argument("--picture", type=picture_file, help=f"draw {what}, .png or .svg")


def add_cache(parser: argparse.ArgumentParser) -> None:
    """Add ``--cache``."""
    parser.add_argument("--cache", help="offline OpenML cache, writable")


def add_budget(parser: argparse.ArgumentParser, budgets: Iterable[str]) -> None:
    """Add ``--budget``."""
    parser.add_argument("--budget", choices=list(budgets), default="laptop")


def add_seed(parser: argparse.ArgumentParser) -> None:
    """Add ``--seed``."""
    parser.add_argument("--seed", type=int, default=0, help="of weights and training prompts")


def add_weights(parser: argparse.ArgumentParser, default: str) -> None:
    """Add ``--weights``."""
    parser.add_argument("--weights", default=default, help="shipped weights or a file")


def add_prompts(parser: argparse.ArgumentParser, default: int) -> None:
    """Add ``--prompts``."""
    parser.add_argument("--prompts", type=int, default=default, help="held-out prompts")


def add_classes(parser: argparse.ArgumentParser, classes: Iterable[str]) -> None:
    """Add ``--classes``: all of them by default."""
    names = list(classes)
    parser.add_argument("--classes", nargs="+", choices=names, default=names, help="of functions")


def add_figures(parser: argparse.ArgumentParser) -> None:
    """Add ``--figures``, whose names `figures_of` checks: they may depend on other options."""
    parser.add_argument("--figures", nargs="*", help="names of figures; default: all")


def figures_of(args: argparse.Namespace, known: Iterable[str]) -> list[str]:
    """Return the figures asked for, or all; raise if there is no such figure."""
    names = list(known)
    if unknown := [name for name in args.figures or () if name not in names]:
        raise SystemExit(f"no figure {unknown[0]!r}; there are {', '.join(names)}")
    return args.figures or names


def add_rows(parser: argparse.ArgumentParser) -> None:
    """Add ``--rows``, ``--jobs`` and ``--output`` of benchmarks that keep their rows."""
    parser.add_argument(
        "--rows", type=int, default=N_ROWS, help=f"training rows at most ({N_ROWS})"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--output", type=Path, help="file of rows (default: in results/)")


def add_openml(parser: argparse.ArgumentParser, tasks: Iterable[int], n_folds: int = 3) -> None:
    """Add the options of benchmarks on OpenML tasks that keep their rows."""
    parser.add_argument("--tasks", type=int, nargs="+", default=list(tasks), metavar="ID")
    parser.add_argument(
        "--folds", type=int, default=n_folds, help=f"official folds, from the first ({n_folds})"
    )
    add_rows(parser)
    add_cache(parser)
