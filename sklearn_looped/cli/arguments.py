"""Types of command-line arguments, which are checked before any work, and common options.

This module imports neither torch nor pandas: help and mistyped arguments must not wait for them.
"""

import argparse
import codecs
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from sklearn_looped.cli.text import printable

N_FOLDS = 5
MAX_ROWS = 2000  # of a fold, training and test: five folds and all models take a minute
BASELINES = {
    "regression": ("OLS", "LassoCV", "RidgeCV", "forest", "boosting", "LightGBM"),
    "classification": ("LogisticRegression", "forest", "boosting", "LightGBM"),
}
# The names in `sklearn_looped.learned.priors`, which imports torch; a test compares them.
PRIORS = ("linear", "sparse-linear", "decision-tree", "relu-network", "tables")


class CsvFormat(NamedTuple):
    """How a CSV file is read; None means detected from the file."""

    sep: str | None = None
    encoding: str | None = None
    drop: tuple[str, ...] = ()


class Parser(argparse.ArgumentParser):
    """Parser whose messages escape control characters in the arguments."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and exit with status 2."""
        super().error(printable(message))

    def refuse(self, message: str) -> NoReturn:
        """Print the message without the usage, and exit with status 2: the options were right."""
        self.exit(2, f"{self.prog}: error: {printable(message)}\n")


def add_parser(commands: Any, name: str, purpose: str, examples: str) -> argparse.ArgumentParser:
    """Add the parser of a subcommand, with examples after its help."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=purpose,
        description=purpose[0].upper() + purpose[1:] + ".",
        epilog="examples:\n" + examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(parser=parser)
    return parser


def picture_file(name: str) -> Path:
    """Turn an argument into a path; raise if no picture can be written there."""
    path = Path(name)
    if path.suffix not in {".png", ".svg"}:
        raise argparse.ArgumentTypeError(f"got {name}, but a picture is a .png or a .svg file")
    if find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError(
            "a picture needs matplotlib: pip install matplotlib, or omit --picture"
        )
    return path


def positive(text: str) -> int:
    """Turn an argument into an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, but expected an integer of at least 1")
    return int(text)


def device(name: str) -> str:
    """Return the name of a device; raise if this machine does not have it."""
    if name == "auto":  # the default is checked here too
        return name
    from sklearn_looped.core.device import choose_device  # torch takes seconds

    try:
        choose_device(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name


def file_to_read(name: str) -> Path:
    """Turn an argument into a path; raise if there is no such file."""
    path = Path(name)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"No such file: {name}")
    return path


def file_to_write(name: str) -> Path:
    """Turn an argument into a path; raise for a folder, or a file in a folder that is missing."""
    path = Path(name)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{name} is a folder, but expected a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}; create it first")
    return path


def at_least_two(text: str) -> int:
    """Turn an argument into an integer of at least 2."""
    if positive(text) < 2:
        raise argparse.ArgumentTypeError(f"got {text}, but expected an integer of at least 2")
    return int(text)


def separator(text: str) -> str:
    r"""Turn an argument into one character; \t and "tab" mean a tab."""
    sep = "\t" if text in ("\\t", "tab") else text
    if len(sep) != 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, but expected one character")
    return sep


def encoding(name: str) -> str:
    """Return the name of an encoding; raise if Python does not know it."""
    try:
        return codecs.lookup(name).name
    except LookupError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_csv_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how CSV files are read."""
    parser.add_argument(
        "--task", choices=("regression", "classification"),
        help="kind of the target (default: regression if it has more than two different numbers)",
    )  # fmt: skip
    parser.add_argument(
        "--sep",
        type=separator,
        metavar="CHAR",
        help="separator (default: detected among , ; tab |)",
    )
    parser.add_argument(
        "--encoding", type=encoding, metavar="NAME",
        help="encoding, such as latin-1 (default: UTF-8, or cp1252 if the file is not UTF-8)",
    )  # fmt: skip
    parser.add_argument("--drop", nargs="+", default=[], metavar="NAME", help="columns to ignore")


def csv_format(args: argparse.Namespace) -> CsvFormat:
    """Return the values of the options that `add_csv_options` has added."""
    return CsvFormat(args.sep, args.encoding, tuple(args.drop))
