"""Scores on held-out tables of a prior: what a model card reports and a test can repeat."""

from collections.abc import Callable, Iterator
from statistics import fmean

import numpy as np
import torch
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.dummy import DummyClassifier, DummyRegressor
from torch import Tensor

from sklearn_looped.core.device import seeded_generator
from sklearn_looped.learned.inference.reader import Reader
from sklearn_looped.learned.model.class_opinions import ClassOpinions
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.model.opinions import Opinions
from sklearn_looped.learned.model.readout import UNKNOWN
from sklearn_looped.learned.priors import Prior
from sklearn_looped.learned.training.class_prompts import codes_of, read_classes

LEAST = 1e-6  # probability
N_TABLES = 64  # of each size, as far as no other number is asked for
N_QUERY = 100  # rows of each table that are predicted
HELD_OUT = 2**31  # a seed that no recipe uses: held-out tables never occur in training
Sizes = tuple[tuple[int, int], ...]  # support rows and columns of tables
SIZES: Sizes = ((32, 4), (64, 8), (128, 8), (256, 12), (256, 20))


def held_out_tables(
    prior: Prior, n_tables: int, sizes: Sizes = SIZES
) -> Iterator[tuple[Tensor, Tensor, int]]:
    """Yield X (B, s + q, d), y (B, s + q) and s: `n_tables` tables of each size."""
    for index, (n_support, n_features) in enumerate(sizes):
        generator = seeded_generator(HELD_OUT, index)
        yield *prior.sample(generator, n_tables, n_support + N_QUERY, n_features), n_support


def r2_clipped(target: Tensor, prediction: Tensor) -> Tensor:
    """R2 of each table, clipped to [-1, 1] so that one table cannot decide the mean."""
    residual = (target - prediction).square().sum(1)
    total = (target - target.mean(1, keepdim=True)).square().sum(1)
    return (1 - residual / total.clamp(min=1e-12)).clamp(-1, 1)


def log_loss(target: Tensor, logits: Tensor) -> Tensor:
    """Log loss of each table's queries, logits (B, q, C), whose class the support has."""
    met = target != UNKNOWN
    right = torch.log_softmax(logits, -1).gather(2, target.long().clamp(min=0)[..., None])[..., 0]
    return -torch.where(met, right, 0).sum(1) / met.sum(1).clamp(min=1)


def squared_error(target: Tensor, prediction: Tensor) -> Tensor:
    """Squared error of each table as a share of the mean square of all tables' targets."""
    return (target - prediction).square().mean(1) / target.square().mean()


# Targets and predictions (B, q), or codes (B, q) and logits (B, q, C), to scores (B,).
Score = Callable[[Tensor, Tensor], Tensor]
SCORES: dict[str, Score] = {
    "R2, clipped to [-1, 1]": r2_clipped,
    "log loss": log_loss,
    "squared error over E[y^2]": squared_error,
}


@torch.inference_mode()
def score_by_loop(
    network: LoopedNetwork,
    prior: Prior,
    n_loops: int,
    n_tables: int = N_TABLES,
    sizes: Sizes = SIZES,
    score: Score = r2_clipped,
) -> list[float]:
    """Mean score over held-out tables after each loop, first to `n_loops`.

    The network runs on the device that it is on.

    Examples
    --------
    >>> from sklearn_looped.learned.training.held_out import score_by_loop
    >>> from sklearn_looped.learned.model.config import NetworkConfig
    >>> from sklearn_looped.learned.model.network import LoopedNetwork
    >>> from sklearn_looped.learned.priors import LinearPrior
    >>> untrained = LoopedNetwork(NetworkConfig(width=16, n_heads=2))
    >>> len(score_by_loop(untrained, LinearPrior(), n_loops=2, n_tables=2))
    2
    """
    scores: list[list[float]] = [[] for _ in range(n_loops)]
    for X, y, n_support in held_out_tables(prior, n_tables, sizes):
        run = _classify if network.config.classifies else _regress
        target, outputs = run(network, X, y, n_support, n_loops)
        for loop, output in enumerate(outputs):
            scores[loop] += score(target, output).tolist()
    return [fmean(each) for each in scores]


Answers = tuple[Tensor, Tensor]  # targets of the queries, (B, q), and answers after every loop


def _outputs(
    network: LoopedNetwork,
    cells: Tensor,
    known: Tensor,
    n_loops: int,
    opinions: Opinions | ClassOpinions | None,
) -> Tensor:
    """Give the outputs after every loop, computed where the network is."""
    device = next(network.parameters()).device
    if opinions is not None:
        opinions = opinions.to(device)
    prompt = cells.to(device), known.to(device)
    return network(*prompt, n_loops, window=n_loops, opinions=opinions).to(cells.device)


def _regress(network: LoopedNetwork, X: Tensor, y: Tensor, s: int, n_loops: int) -> Answers:
    reader = Reader.fit(X[:, :s], y[:, :s], config=network.config)
    cells, opinions = reader.table(X)
    known = reader.scale.target(y[:, :s])
    outputs = _outputs(network, cells, known, n_loops, opinions)
    return y[:, s:], torch.stack([reader.scale.undo_target(each[..., 0]) for each in outputs])


def _classify(network: LoopedNetwork, X: Tensor, y: Tensor, s: int, n_loops: int) -> Answers:
    codes = codes_of(y, network.config.n_classes)
    prompt, target = read_classes(X, codes, s, network.config)
    known, cells = prompt.pop("y"), prompt.pop("X")
    opinions = ClassOpinions(**prompt) if prompt else None
    return target.y, _outputs(network, cells, known, n_loops, opinions)


def score_baseline(
    baseline: BaseEstimator,
    prior: Prior,
    sizes: Sizes = SIZES,
    score: Score = r2_clipped,
) -> float:
    """Mean score of a scikit-learn estimator on `N_TABLES` tables of each size, the same ones.

    Of a classifier that of its probabilities, which are at least 1e-6.
    """
    scores = []
    for X, y, n_support in held_out_tables(prior, N_TABLES, sizes):
        tables, targets = X.nan_to_num().numpy(), y.numpy()
        for table, target in zip(tables, targets, strict=True):
            known, asked = target[:n_support], torch.tensor(target[n_support:])[None]
            one_value = bool((known == known[0]).all())  # classifiers refuse such
            dummy = DummyClassifier() if is_classifier(baseline) else DummyRegressor()
            model = (dummy if one_value else clone(baseline)).fit(table[:n_support], known)
            if is_classifier(baseline):
                asked = asked.where(torch.isin(asked, torch.tensor(known)), UNKNOWN)
                answer = np.full((len(table) - n_support, int(target.max()) + 1), LEAST)
                answer[:, model.classes_.astype(int)] = model.predict_proba(table[n_support:])
                answer = np.log(answer.clip(LEAST))
            else:
                answer = model.predict(table[n_support:])
            scores += score(asked, torch.tensor(answer)[None]).tolist()
    return fmean(scores)
