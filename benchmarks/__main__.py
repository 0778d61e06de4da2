"""``python -m benchmarks NAME``: run a benchmark; ``--list`` says what each answers."""

import argparse
import sys

from benchmarks.common.options import changed
from benchmarks.registry import TIMES, load, question


def parser_of(name: str) -> argparse.ArgumentParser:
    """Return the parser of a benchmark, with the options that it adds."""
    module = load(name)
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks {name}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if hasattr(module, "add_options"):
        module.add_options(parser)
    parser.set_defaults(run=module.run)
    return parser


def parse(name: str, argv: list[str]) -> argparse.Namespace:
    """Return a benchmark's arguments, with ``options``: those that say what its rows are of."""
    parser = parser_of(name)
    args = parser.parse_args(argv)
    args.options = changed(parser, args)
    return args


def main(argv: list[str] | None = None) -> None:
    """Run a benchmark, or list them all.

    Parameters
    ----------
    argv : list of str, default=None
        Command-line arguments; None: those of the process.
    """
    argv = sys.argv[1:] if argv is None else argv
    if argv and argv[0] in TIMES:
        args = parse(argv[0], argv[1:])
        args.run(args)
        return
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="python -m benchmarks NAME --help has the options of a benchmark.",
    )
    parser.add_argument("name", nargs="?", choices=TIMES, metavar="NAME", help="a benchmark")
    parser.add_argument(
        "--list", action="store_true", help="what each answers and how long it takes"
    )
    if not parser.parse_args(argv).list:
        parser.error("name a benchmark, or ask for --list")
    width = max(map(len, TIMES))
    for name, time in TIMES.items():
        print(f"{name:<{width}}  {time:>10}  {question(name)}")


if __name__ == "__main__":
    main()
