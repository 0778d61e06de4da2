"""The commands of ``python -m sklearn_looped`` and their options.

The work of each command is in a module of its own, which is imported only after the options have
been checked: torch, pandas and scikit-learn take seconds to import.
"""

import argparse
from pathlib import Path
from typing import Any

from sklearn_looped.cli.arguments import (
    BASELINES,
    MAX_ROWS,
    N_FOLDS,
    PRIORS,
    add_csv_options,
    add_parser,
    at_least_two,
    csv_format,
    device,
    file_to_read,
    file_to_write,
    picture_file,
    positive,
)
from sklearn_looped.cli.languages import LANGUAGES

PURPOSE = "cross-validate the looped transformer beside linear models, a forest and boosting"
PICTURE = "draw the error by loop to a .png or .svg file (needs matplotlib)"


def add_demo(commands: Any) -> None:
    """Add the parser of ``demo``."""
    parser = add_parser(
        commands,
        "demo",
        f"{PURPOSE}, on scikit-learn's diabetes data; the default command",
        "  python -m sklearn_looped\n"
        "  python -m sklearn_looped demo --picture loops.png",
    )  # fmt: skip
    parser.add_argument("--picture", type=picture_file, metavar="FILE", help=PICTURE)
    parser.set_defaults(run=_demo)


def _demo(args: argparse.Namespace) -> None:
    from sklearn_looped.cli import evaluate, tables

    evaluate.report(tables.diabetes(), args.picture)


def add_evaluate(commands: Any) -> None:
    """Add the parser of ``evaluate``."""
    parser = add_parser(
        commands,
        "evaluate",
        f"{PURPOSE}, on a CSV file or an OpenML task",
        "  python -m sklearn_looped evaluate --csv houses.csv --target price\n"
        "  python -m sklearn_looped evaluate --csv houses.csv --target price --picture loops.png\n"
        "  python -m sklearn_looped evaluate --csv people.csv --target job --drop name phone\n"
        "  python -m sklearn_looped evaluate --openml-task 361235",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--csv", type=file_to_read, metavar="FILE", help="a table with a header line"
    )
    source.add_argument("--openml-task", type=int, metavar="ID", help="with its own splits")
    parser.add_argument("--target", metavar="NAME", help="the column of FILE to predict")
    add_csv_options(parser)
    parser.add_argument(
        "--weights", metavar="NAME", help="shipped weights, or a file written by train"
    )
    parser.add_argument(
        "--folds", type=at_least_two, default=N_FOLDS, metavar="N", help=f"(default {N_FOLDS})"
    )
    parser.add_argument(
        "--max-rows", type=at_least_two, default=MAX_ROWS, metavar="N",
        help="rows of a fold that are used, training and test together, drawn at random from larger"
        f" tables (default {MAX_ROWS}; time grows with it)",
    )  # fmt: skip
    names = sorted({name for names in BASELINES.values() for name in names})
    parser.add_argument(
        "--baselines", nargs="*", choices=names, metavar="NAME",
        help=f"any of {', '.join(names)}, or none (default: all for the task that are installed)",
    )  # fmt: skip
    parser.add_argument("--picture", type=picture_file, metavar="FILE", help=PICTURE)
    parser.set_defaults(run=_evaluate)


def _evaluate(args: argparse.Namespace) -> None:
    form = csv_format(args)
    if (args.csv is None) != (args.target is None):
        raise ValueError("--csv and --target belong together: --csv FILE --target NAME")
    if args.csv is None and any((args.task, *form)):
        raise ValueError("--task, --sep, --encoding and --drop need --csv.")
    from sklearn_looped.cli import evaluate, tables

    if args.csv is not None:
        problem = tables.from_csv(args.csv, args.target, args.task, form, args.folds)
    else:
        problem = tables.from_openml(args.openml_task, args.folds)
    problem = tables.thinned(problem, args.max_rows)
    evaluate.report(problem, args.picture, args.weights, args.baselines)


def add_train(commands: Any) -> None:
    """Add the parser of ``train``."""
    parser = add_parser(
        commands,
        "train",
        "meta-train a looped transformer and write weights for an estimator's weights=FILE",
        "  python -m sklearn_looped train sines.safetensors --prior relu-network --columns 4\n"
        "  python -m sklearn_looped train houses.safetensors --table a.csv price --table b.csv"
        " price\n"
        "  python -m sklearn_looped train jobs.safetensors --table people.csv job --drop name\n"
        "  python -m sklearn_looped train long.safetensors --prior tables --steps 8000"
        " --folder runs/long",
    )
    parser.add_argument("output", type=file_to_write, metavar="FILE", help="weights to write")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--prior", choices=sorted(PRIORS), help="synthetic tables; starts from random weights"
    )
    source.add_argument(
        "--table", nargs=2, action="append", metavar=("FILE", "TARGET"),
        help="a CSV file and the column to predict, numbers or labels; may be repeated. A fifth of "
        "the rows is held out to score the result. Starts from the shipped weights. Do not include "
        "the data that are to be predicted",
    )  # fmt: skip
    add_csv_options(parser)
    _add_run_options(parser)
    parser.set_defaults(run=_train)


def _add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a meta-training run."""
    parser.add_argument(
        "--start", metavar="WEIGHTS", help="shipped weights or a file to start from"
    )
    parser.add_argument(
        "--columns",
        type=positive,
        metavar="N",
        help="columns of a table; needs --prior (default 8)",
    )
    parser.add_argument(
        "--rows", type=positive, metavar="N",
        help="most support rows of a table: 64, 128, 256 or 512; needs --prior (default 128)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", type=positive, metavar="N",
        help="optimiser steps (default 1600, or 200 from weights; minutes)",
    )  # fmt: skip
    parser.add_argument(
        "--folder", type=Path, metavar="DIR",
        help="save the state of the run here: the same command resumes it after a stop, and with "
        "more --steps after its end",
    )  # fmt: skip
    parser.add_argument("--force", action="store_true", help="overwrite FILE if it exists")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="(default 0)")
    parser.add_argument("--device", type=device, default="auto", help="auto, cpu, cuda or cuda:N")


def _train(args: argparse.Namespace) -> None:
    if args.table and (args.columns or args.rows):
        raise ValueError("--columns and --rows need --prior; tables have their own.")
    if args.prior and any((args.task, *csv_format(args))):
        raise ValueError("--task, --sep, --encoding and --drop need --table.")
    if args.output.exists() and not args.force:
        raise ValueError(
            f"{args.output} exists; choose another name, or overwrite it with --force."
        )
    for path, _ in args.table or ():
        file_to_read(path)
    from sklearn_looped.cli import train

    train.run(args)


def add_run_program(commands: Any) -> None:
    """Add the parser of ``run-program``."""
    parser = add_parser(
        commands,
        "run-program",
        "assemble a program, run it inside a looped transformer and print its memory",
        "  printf 'x: .word 20\\ny: .word 22\\n add x, y\\n' > add.asm\n"
        "  python -m sklearn_looped run-program add.asm --trace\n"
        "  python -m sklearn_looped run-program add.asm --step\n"
        "  python -m sklearn_looped run-program add.asm --picture trace.png\n"
        "  python -m sklearn_looped run-program descent.asm --machine fleq\n\n" + LANGUAGES,
    )
    parser.add_argument("program", type=file_to_read, metavar="FILE", help="assembly file")
    parser.add_argument(
        "--machine", choices=("subleq", "fleq"), default="subleq",
        help="subleq: integers, one instruction; fleq: vectors and functions (default subleq)",
    )  # fmt: skip
    parser.add_argument(
        "--bits", type=positive, default=16, metavar="N", help="bits of a subleq cell (default 16)"
    )
    parser.add_argument(
        "--max-loops", type=positive, default=100_000, metavar="N",
        help="stop after this number of instructions (default 100000)",
    )  # fmt: skip
    parser.add_argument("--trace", action="store_true", help="print every instruction")
    parser.add_argument(
        "--step", action="store_true", help="stop before every instruction and print the state"
    )
    parser.add_argument(
        "--picture", type=picture_file, metavar="FILE",
        help="draw memory and program counter by step to a .png or .svg file (needs matplotlib)",
    )  # fmt: skip
    parser.set_defaults(run=_run_program)


def _run_program(args: argparse.Namespace) -> None:
    from sklearn_looped.cli import run_program

    run_program.run(args)
