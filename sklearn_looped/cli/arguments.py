"""Types of command-line arguments, checked before any work, and how parsers look."""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

from sklearn_looped.core.device import choose_device
from sklearn_looped.core.text import printable


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
    try:
        choose_device(name)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return name


def file_to_write(name: str) -> Path:
    """Turn an argument into a path; refuse a folder, and a file in no folder."""
    path = Path(name)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{name} is a folder; give the name of a file")
    if not path.parent.is_dir():
        raise argparse.ArgumentTypeError(f"there is no folder {path.parent}; make it first")
    return path
