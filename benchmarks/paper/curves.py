"""Errors of the function-class weights by processor time of their training.

``python -m benchmarks paper.curves [--picture PATH]`` prints the held-out errors that `pretrain`
kept while it trained the shipped weights (32 prompts, the paper's number of examples), from where
their last stage began. The curve of `linear` was not kept: its card has six points of it.
"""

import argparse

import pandas as pd

from benchmarks.common.options import add_picture
from benchmarks.common.pictures import draw_errors
from benchmarks.common.report import print_table
from benchmarks.paper.function_classes import CLASSES
from sklearn_looped.learned.checkpoints import WEIGHTS_FOLDER
from sklearn_looped.learned.training.curve import read_curve
from sklearn_looped.learned.training.pretrain import CURVE

N_SHOWN = 12  # points of a curve in the table


def add_options(parser: argparse.ArgumentParser) -> None:
    add_picture(parser, "the errors")


def run(args: argparse.Namespace) -> None:
    panels = {}
    kept = (name for name in CLASSES if (WEIGHTS_FOLDER / f"{name}.{CURVE}").exists())
    for name in kept:
        curve = pd.DataFrame(read_curve(WEIGHTS_FOLDER / f"{name}.{CURVE}"))
        print(f"\n{name}: squared error as a share of E[y^2] by processor seconds")
        print_table(curve.iloc[:: -(-len(curve) // N_SHOWN)])
        curve["x"], curve["method"] = curve["cpu_seconds"] / 60, "looped"
        curve["value"] = curve["low"] = curve["high"] = curve["score"]
        panels[name] = curve
    if args.picture:
        draw_errors(panels, "looped", "processor minutes", args.picture)
