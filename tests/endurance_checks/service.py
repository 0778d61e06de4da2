"""One process for long: threads that share an estimator, and a thousand fits."""

import gc
import resource
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.datasets import load_diabetes

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor

MOST_GROWTH = 4.0  # MB over the last four fifths of the fits


def threads(n_threads: int, n_calls: int) -> dict[str, Any]:
    """threads that predict on one estimator at once."""
    X, y = load_diabetes(return_X_y=True)
    fitted = LoopedICLRegressor().fit(X[:200], y[:200])
    auto = LoopedICLRegressor(n_loops="auto").fit(X[:200], y[:200])
    labels = LoopedICLClassifier().fit(X[:200], y[:200] > 140)
    jobs = [
        (method, X[200 + 5 * i : 230 + 5 * i])
        for i in range(n_calls)
        for method in (fitted.predict, fitted.predict_quantiles, auto.predict, labels.predict_proba)
    ]
    serial = [method(queries) for method, queries in jobs]
    with ThreadPoolExecutor(n_threads) as pool:
        parallel = list(pool.map(lambda job: job[0](job[1]), jobs))
    differing = sum(not np.array_equal(a, b) for a, b in zip(serial, parallel, strict=True))
    said = f"{n_threads} threads: {len(jobs) - differing} of {len(jobs)} calls equal to the bit"
    return {"trials": len(jobs), "outcome": said, "broken": differing, "notes": {}}


def resident_megabytes() -> float:
    """Memory of this process that is in RAM now."""
    gc.collect()
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 1e6
    except OSError:  # no /proc: the peak so far
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def many_fits(n_fits: int) -> dict[str, Any]:
    """memory after a fifth of the fits and after all."""
    rng = np.random.default_rng(0)
    for number in range(n_fits):
        X = rng.normal(size=(rng.integers(10, 60), rng.integers(1, 8)))
        model: Any = LoopedICLRegressor(n_loops=2)
        if number % 2:
            model = LoopedICLClassifier(n_loops=2)
        target = X[:, 0] if number % 2 == 0 else X[:, 0] > np.median(X[:, 0])
        model.fit(X, target).predict(X[:5])
        if number + 1 == n_fits // 5:
            early = resident_megabytes()
    late = resident_megabytes()
    said = f"{early:.1f} MB after {n_fits // 5} fits, {late:.1f} MB after {n_fits}"
    return {
        "trials": n_fits, "outcome": said, "broken": int(late - early > MOST_GROWTH), "notes": {}
    }  # fmt: skip
