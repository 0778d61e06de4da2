"""Types of command-line arguments, checked before any work, and how parsers look.

Imports neither torch nor pandas: help and a mistyped argument must not wait for them.
"""

import argparse
import codecs
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from sklearn_looped.cli.text import printable

N_FOLDS = 5
BASELINES = {
    "regression": ("OLS", "LassoCV", "RidgeCV", "forest", "boosting", "LightGBM"),
    "classification": ("LogisticRegression", "forest", "boosting", "LightGBM"),
}
# Those of `sklearn_looped.learned.priors`, which imports torch; a test compares them.
PRIORS = ("linear", "sparse-linear", "decision-tree", "relu-network", "tables")


class CsvFormat(NamedTuple):
    """How a CSV file is read; None: found from the file."""

    sep: str | None = None
    encoding: str | None = None
    drop: tuple[str, ...] = ()


class Parser(argparse.ArgumentParser):
    """Parser whose messages show no control characters of what the user gave."""

    def error(self, message: str) -> NoReturn:
        """Print the usage and the message, and end with status 2."""
        super().error(printable(message))


def add_parser(commands: Any, name: str, purpose: str, examples: str) -> argparse.ArgumentParser:
    """Add the parser of a subcommand, with examples behind its help."""
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
    """Turn an argument into a path; refuse what cannot be drawn."""
    path = Path(name)
    if path.suffix not in {".png", ".svg"}:
        raise argparse.ArgumentTypeError(f"got {name}, but a picture is a .png or a .svg file")
    if find_spec("matplotlib") is None:
        raise argparse.ArgumentTypeError(
            "a picture needs matplotlib: pip install matplotlib, or leave --picture out"
        )
    return path


def positive(text: str) -> int:
    """Turn an argument into an integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got {text}, but a whole number of at least 1 is needed")
    return int(text)


def device(name: str) -> str:
    """Refuse a device that is not there."""
    if name == "auto":  # the default passes through here too
        return name
    from sklearn_looped.core.device import choose_device  # torch takes seconds

    try:
        choose_device(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name


def file_to_read(name: str) -> Path:
    """Turn an argument into a path; refuse a file that is not there."""
    path = Path(name)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"No such file: {name}")
    return path


def file_to_write(name: str) -> Path:
    """Turn an argument into a path; refuse a folder, and a file in no folder."""
    path = Path(name)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{name} is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}; make it first")
    return path


def at_least_two(text: str) -> int:
    """Turn an argument into an integer of at least 2."""
    if positive(text) < 2:
        raise argparse.ArgumentTypeError(f"got {text}, but at least 2 are needed")
    return int(text)


def separator(text: str) -> str:
    r"""Turn an argument into one character; \t and "tab" are a tabulator."""
    sep = "\t" if text in ("\\t", "tab") else text
    if len(sep) != 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, but a separator is one character")
    return sep


def encoding(name: str) -> str:
    """Refuse an encoding that Python does not know."""
    try:
        return codecs.lookup(name).name
    except LookupError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def add_csv_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how CSV files are read."""
    parser.add_argument(
        "--task", choices=("regression", "classification"),
        help="what the target is (default: regression if it holds numbers, more than two)",
    )  # fmt: skip
    parser.add_argument(
        "--sep", type=separator, metavar="CHAR", help="between fields (default: found: , ; tab |)"
    )
    parser.add_argument(
        "--encoding", type=encoding, metavar="NAME",
        help="of the file, such as latin-1 (default: UTF-8, or cp1252 if it is none)",
    )  # fmt: skip
    parser.add_argument(
        "--drop", nargs="+", default=[], metavar="NAME", help="columns to leave out"
    )


def csv_format(args: argparse.Namespace) -> CsvFormat:
    """Return what `add_csv_options` has read."""
    return CsvFormat(args.sep, args.encoding, tuple(args.drop))
