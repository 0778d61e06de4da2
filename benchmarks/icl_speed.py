"""How long do fit and predict take? Diabetes (353 + 89 rows x 10) and 1,000 + 1,000 rows x 10.

``python benchmarks/icl_speed.py [--threads 1]`` prints a table and writes
benchmarks/results/icl_speed.json. Imports are excluded; models take turns within one run.
"""

import argparse
import time

import numpy as np
import torch
from report import report, spread
from sklearn.base import clone
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.ensemble import HistGradientBoostingRegressor, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LassoCV
from threadpoolctl import threadpool_limits

from sklearn_looped import LoopedICLRegressor

N_REPEATS = 5
MODELS = {
    "LoopedICLRegressor": LoopedICLRegressor(),
    "LoopedICLRegressor, 1 member": LoopedICLRegressor(n_estimators=1),
    "LassoCV": LassoCV(),
    "random forest": RandomForestRegressor(random_state=0),
    "HistGradientBoosting": HistGradientBoostingRegressor(random_state=0),
    "Gaussian process": GaussianProcessRegressor(RBF(3.0) + WhiteKernel(), normalize_y=True),
}


def problems():
    X, y = load_diabetes(return_X_y=True)
    yield "diabetes 353 + 89", X[:353], y[:353], X[353:], y[353:]
    X, y = make_friedman1(2000, n_features=10, noise=1.0, random_state=0)
    yield "friedman 1,000 + 1,000", X[:1000], y[:1000], X[1000:], y[1000:]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = []
    with threadpool_limits(args.threads):
        for problem, X, y, X_query, y_query in problems():
            times = {name: ([], []) for name in MODELS}
            scores = {}
            for _ in range(N_REPEATS + 1):
                for name, model in MODELS.items():
                    start = time.perf_counter()
                    fitted = clone(model).fit(X, y)
                    middle = time.perf_counter()
                    prediction = fitted.predict(X_query)
                    end = time.perf_counter()
                    times[name][0].append(middle - start)
                    times[name][1].append(end - middle)
                    scores[name] = 1 - np.mean((prediction - y_query) ** 2) / y_query.var()
            for name, (fit, predict) in times.items():  # the first turn warms up
                fit_s = {f"fit s {k}": v for k, v in spread(fit[1:]).items()}
                predict_s = {f"predict s {k}": v for k, v in spread(predict[1:]).items()}
                row = {"problem": problem, "model": name, "R2": float(scores[name])}
                rows.append(row | fit_s | predict_s)
    report("icl_speed", rows)


if __name__ == "__main__":
    main()
