"""Scores on held-out tables of a prior: what a model card reports and a test can repeat."""

from collections.abc import Callable, Iterator
from statistics import fmean

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.dummy import DummyRegressor
from torch import Tensor

from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.inference.reader import Reader
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.priors import Prior

HELD_OUT = 2**31  # a seed that no recipe uses: held-out tables never occur in training
Sizes = tuple[tuple[int, int], ...]  # support rows and columns of tables
SIZES: Sizes = ((32, 4), (64, 8), (128, 8), (256, 12), (256, 20))


def held_out_tables(
    prior: Prior, n_tables: int, n_query: int = 100, sizes: Sizes = SIZES
) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Yield X (B, s + q, d), y (B, s + q) and s: `n_tables` tables of each size."""
    for index, (n_support, n_features) in enumerate(sizes):
        generator = seeded_generator(HELD_OUT, index)
        yield *prior.sample(generator, n_tables, n_support + n_query, n_features), n_support


def r2_clipped(target: Tensor, prediction: Tensor) -> Tensor:
    """R2 of each table, clipped to [-1, 1] so that one table cannot decide the mean."""
    residual = (target - prediction).square().sum(1)
    total = (target - target.mean(1, keepdim=True)).square().sum(1)
    return (1 - residual / total.clamp(min=1e-12)).clamp(-1, 1)


def accuracy(target: Tensor, logit: Tensor) -> Tensor:
    """Share of each table's queries whose label, the sign of the target, is predicted."""
    return ((target > 0) == (logit > 0)).double().mean(1)


def squared_error(target: Tensor, prediction: Tensor) -> Tensor:
    """Squared error of each table as a share of the mean square of all tables' targets."""
    return (target - prediction).square().mean(1) / target.square().mean()


Score = Callable[[Tensor, Tensor], Tensor]  # targets and predictions (B, q) -> (B,)
SCORES: dict[str, Score] = {
    "R2, clipped to [-1, 1]": r2_clipped,
    "accuracy": accuracy,
    "squared error over E[y^2]": squared_error,
}


@torch.inference_mode()
def score_by_loop(
    network: LoopedNetwork,
    prior: Prior,
    n_loops: int,
    n_tables: int = 64,
    sizes: Sizes = SIZES,
    score: Score = r2_clipped,
) -> list[float]:
    """Mean score over held-out tables after each loop, first to `n_loops`.

    Examples
    --------
    >>> from sklearn_looped.learned.training.held_out import score_by_loop
    >>> from sklearn_looped.learned.model.network import LoopedNetwork, NetworkConfig
    >>> from sklearn_looped.learned.priors import LinearPrior
    >>> untrained = LoopedNetwork(NetworkConfig(width=16, n_heads=2))
    >>> len(score_by_loop(untrained, LinearPrior(), n_loops=2, n_tables=2))
    2
    """
    scores: list[list[float]] = [[] for _ in range(n_loops)]
    for X, y, n_support in held_out_tables(prior, n_tables, sizes=sizes):
        support = X[:, :n_support], y[:, :n_support]
        reader = Reader.fit(*support, config=network.config)
        cells, opinions = reader.table(X)
        scale, target = reader.scale, reader.scale.target(y)
        outputs = network(cells, target[:, :n_support], n_loops, window=n_loops, opinions=opinions)
        for loop, output in enumerate(outputs):
            if network.config.classifies:
                scores[loop] += score(target[:, n_support:], output[..., 0]).tolist()
            else:
                answer = scale.undo_target(output[..., 0])
                scores[loop] += score(y[:, n_support:], answer).tolist()
    return [fmean(each) for each in scores]


def score_baseline(
    baseline: BaseEstimator,
    prior: Prior,
    n_tables: int = 64,
    sizes: Sizes = SIZES,
    score: Score = r2_clipped,
) -> float:
    """Mean score of a scikit-learn estimator on the same tables; a classifier's accuracy."""
    scores = []
    for X, y, n_support in held_out_tables(prior, n_tables, sizes=sizes):
        tables, targets = X.nan_to_num().numpy(), y.numpy()
        predictions = []
        for table, target in zip(tables, targets, strict=True):
            one_value = bool((target[:n_support] == target[0]).all())  # classifiers refuse such
            model = DummyRegressor() if one_value else clone(baseline)
            model.fit(table[:n_support], target[:n_support])
            predictions.append(model.predict(table[n_support:]))
        prediction = torch.tensor(np.array(predictions), dtype=y.dtype)
        if is_classifier(baseline):
            scores += (prediction == y[:, n_support:]).double().mean(1).tolist()
        else:
            scores += score(y[:, n_support:], prediction).tolist()
    return fmean(scores)
