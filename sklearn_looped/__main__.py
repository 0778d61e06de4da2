"""``python -m sklearn_looped``: the looped transformer beside baselines, and other jobs."""

import argparse
import sys
import warnings
from collections.abc import Callable
from typing import Any

from sklearn_looped.cli.arguments import Parser
from sklearn_looped.cli.commands import add_demo, add_evaluate, add_run_program, add_train
from sklearn_looped.cli.text import printable

# What the commands raise for files, options and machines that cannot serve.
REFUSALS = (OSError, ValueError, TypeError, MemoryError, FloatingPointError)


def main(argv: list[str] | None = None) -> None:
    """Run a subcommand: ``demo`` if none is named, ``evaluate`` if there are options only.

    Parameters
    ----------
    argv : list of str, default=None
        Command-line arguments; None: those of the process. Wrong ones end the process with
        status 2 and one line that says what to do.
    """
    parser = Parser(
        prog="python -m sklearn_looped",
        description="Looped transformers as scikit-learn estimators. Without a command: demo.",
        epilog="python -m sklearn_looped COMMAND --help has the options and examples of a command.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for add in (add_demo, add_evaluate, add_train, add_run_program):
        add(commands)
    argv = sys.argv[1:] if argv is None else argv
    if not argv:
        argv = ["demo"]
    elif argv[0].startswith("-") and argv[0] not in ("-h", "--help"):
        argv = ["evaluate", *argv]
    args = parser.parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _note(set())
            args.run(args)
    except (*REFUSALS, argparse.ArgumentTypeError) as error:
        args.parser.refuse((str(error).strip() or type(error).__name__).splitlines()[0])
    except KeyboardInterrupt:
        args.parser.exit(130, f"{args.parser.prog}: interrupted\n")


def _note(said: set[str]) -> Callable[..., None]:
    """Write a warning as one line, once."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if str(message) not in said:
            sys.stderr.write(f"note: {printable(' '.join(str(message).split()))}\n")
            said.add(str(message))

    return show


if __name__ == "__main__":
    main()
