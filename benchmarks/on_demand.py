"""How long does meta-training on demand take, and what does it reach? Linear functions, d = 5.

``python benchmarks/on_demand.py`` meta-trains in an empty cache for the first of five noiseless
linear problems of 40 rows, takes the others from the cache, prints a table and writes
benchmarks/results/on_demand.json.
"""

import os
import tempfile
import time

import numpy as np
from report import report
from sklearn.linear_model import LinearRegression

from sklearn_looped import LoopedICLRegressor


def main() -> None:
    rng = np.random.default_rng(0)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SKLEARN_LOOPED_CACHE"] = folder
        for problem in range(5):
            X = rng.normal(size=(240, 5))
            y = X @ rng.normal(size=5)
            model = LoopedICLRegressor(weights=None, prior="linear", verbose=1)
            start = time.perf_counter()
            model.fit(X[:40], y[:40])
            seconds = time.perf_counter() - start
            row = {"problem": problem, "fit s": seconds, "R2": model.score(X[40:], y[40:])}
            ols = LinearRegression().fit(X[:40], y[:40]).score(X[40:], y[40:])
            rows.append(row | {"R2 of OLS": ols})
    report("on_demand", rows)


if __name__ == "__main__":
    main()
