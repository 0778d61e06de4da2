"""What a process does that may write nowhere: ``python read_only.py WEIGHTS check``.

``python read_only.py WEIGHTS train`` fills the cache first, as a process that may.
"""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor
from sklearn_looped.learned import checkpoints
from sklearn_looped.learned.training import on_demand

X = np.random.default_rng(0).normal(size=(40, 3))
Y = X[:, 0]
made = on_demand.configuration


def short(prior: str, n_features: int, n_rows: int) -> tuple:
    """Return the configuration of `on_demand` with three steps in place of 1,600."""
    network, recipe = made(prior, n_features, n_rows)
    return network, replace(recipe, n_steps=3, rows_per_step=200)


def check() -> None:
    """Print one line a promise; those that begin with "not" are broken."""
    places = (checkpoints.WEIGHTS_FOLDER, Path.home(), on_demand.cache_folder())
    writable = [str(place) for place in places if os.access(place, os.W_OK)]
    print(f"not a test, writable: {writable}" if writable else "read-only weights, home and cache")
    predictions = LoopedICLRegressor().fit(X, Y).predict(X)
    labels = LoopedICLClassifier().fit(X, Y > 0).predict(X)
    print(
        "shipped weights work" if np.isfinite(predictions).all() and len(labels) else "not finite"
    )
    LoopedICLRegressor(weights=None, prior="linear").fit(X, Y).predict(X)
    print("weights trained on demand before are read")
    for kind, cache in (("home", ""), ("a folder of one's own", str(Path.home() / "none"))):
        os.environ["SKLEARN_LOOPED_CACHE"] = cache
        try:
            LoopedICLRegressor(weights=None, prior="linear").fit(X, Y)
        except OSError as error:
            clear = "SKLEARN_LOOPED_CACHE" in str(error)
            print(f"new ones in {kind} refused with advice" if clear else f"not clear: {error}")
        else:
            print("not refused")


if __name__ == "__main__":
    on_demand.configuration = short
    checkpoints.WEIGHTS_FOLDER = Path(sys.argv[1])
    if sys.argv[2] == "train":
        LoopedICLRegressor(weights=None, prior="linear").fit(X, Y)
    else:
        check()
