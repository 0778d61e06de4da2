"""How long does meta-training on demand take, and what does it reach? Linear functions, d = 5.

``python -m benchmarks on_demand`` meta-trains in an empty cache for the first of five noiseless
linear problems of 40 rows, takes the others from the cache, prints a table and writes
benchmarks/results/on_demand.json.
"""

import argparse
import os
import tempfile
from functools import partial

import numpy as np
from sklearn.linear_model import LinearRegression

from benchmarks.common.report import report
from benchmarks.common.timing import timed
from sklearn_looped import LoopedICLRegressor


def run(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SKLEARN_LOOPED_CACHE"] = folder
        for problem in range(5):
            X = rng.normal(size=(240, 5))
            y = X @ rng.normal(size=5)
            model = LoopedICLRegressor(weights=None, prior="linear", verbose=1)
            _, _, seconds = timed(partial(model.fit, X[:40], y[:40]))
            row = {"problem": problem, "fit s": seconds, "R2": model.score(X[40:], y[40:])}
            ols = LinearRegression().fit(X[:40], y[:40]).score(X[40:], y[40:])
            rows.append(row | {"R2 of OLS": ols})
    report(args, "on_demand", rows)
