"""Where does the time of a step of meta-training go? Shares by kind of operator, on one thread.

``python -m benchmarks training_profile`` profiles the steps of `training_speed.py`, prints the
shares and writes benchmarks/results/training_profile.json.
"""

import argparse
from collections import defaultdict
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from benchmarks.common.report import report
from benchmarks.training_speed import train

PARTS = {  # ranges that torch itself names in a profile
    "Optimizer.step": "optimiser",
    "enumerate(DataLoader)": "drawing tables, fitting experts",
}
KINDS = {  # what operators' names contain
    "matrix products": ("::mm", "::addmm", "::bmm"),
    "norms": ("::native_layer_norm",),
    "softmax": ("::_softmax",),
    "activation": ("::clamp_min", "::threshold_backward"),
}


def _kind(event: Any) -> str:
    """Kind of a profiled operator: by the part of the step it lies in, else by its name."""
    ancestor = event
    while ancestor is not None:
        for part, kind in PARTS.items():
            if ancestor.name.startswith(part):
                return kind
        ancestor = ancestor.cpu_parent
    kinds = (kind for kind, names in KINDS.items() if any(name in event.name for name in names))
    other = "elementwise and copies" if event.name.startswith("aten::") else "Python and autograd"
    return next(kinds, other)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, default=12, help="profiled steps")


def run(args: argparse.Namespace) -> None:
    torch.set_num_threads(1)
    train(1)
    with profile(activities=[ProfilerActivity.CPU]) as profiler, record_function("training"):
        train(args.steps)
    seconds: dict[str, float] = defaultdict(float)
    for event in profiler.events():
        seconds[_kind(event)] += event.self_cpu_time_total / 1e6
    total = sum(seconds.values())
    rows = [
        {"kind": kind, "share": value / total, "ms a step": 1e3 * value / args.steps}
        for kind, value in sorted(seconds.items(), key=lambda item: -item[1])
    ]
    report(args, "training_profile", rows)
