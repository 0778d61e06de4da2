"""Prompts from the ten binary OpenML sets of Yang et al. 2024, with two repairs on and off.

Shapes: B prompts, n rows of which the first 40 are the support, d columns.
"""

from dataclasses import asdict, dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from benchmarks.common.openml_tasks import load
from benchmarks.openml_binary import N_SHOTS, PAPER, SEEDS, prompts
from sklearn_looped.learned.inference.class_reader import ClassReader, indicators
from sklearn_looped.learned.model.network import LoopedNetwork
from sklearn_looped.learned.priors import OwnTables

N_FEATURES = 20  # the paper's read-in: sets with fewer columns have zeros in front of them
Table = tuple[np.ndarray, np.ndarray]  # X, scaled by all rows, and labels 0 and 1


@dataclass(frozen=True)
class Arm:
    """How prompts are made.

    Parameters
    ----------
    flips : bool, default=False
        Whether each training prompt has its label, the signs of its columns and their order drawn
        at random. Prompts of the set left out never have.
    scaled_by : {"whole set", "support", "canonical"}, default="whole set"
        What columns are standardised by: all rows of their data set, test rows included, as in the
        paper's code, or the prompt's support. "canonical": the library's form of a table, by
        the support too, which also fixes signs and order, so that flips would change nothing.
    """

    flips: bool = False
    scaled_by: str = "whole set"

    def form(self, X: Tensor) -> Tensor:
        """Scale columns (B, n, d) by the support if asked to, and put zeros in front of them."""
        if self.scaled_by == "support":
            deviation, mean = torch.std_mean(X[:, :N_SHOTS], 1, correction=0, keepdim=True)
            X = (X - mean) / torch.where(deviation > 1e-6, deviation, 1)
        return F.pad(X, (N_FEATURES - X.shape[2], 0))


ARMS = {
    "as in the paper": Arm(),
    "flips": Arm(flips=True),
    "support scaling": Arm(scaled_by="support"),
    "both repairs": Arm(flips=True, scaled_by="support"),
    "canonical form": Arm(scaled_by="canonical"),
}


class Prompts:
    """Prompts of a set chosen at random, columns at fixed places unless the arm moves them.

    Unlike `OwnTables`, whose columns come in random order and are brought to canonical form.
    """

    fixed_columns = True

    def __init__(self, data_sets: list[Table], arm: Arm) -> None:
        self.arm, self.digest = asdict(arm), OwnTables(data_sets).digest
        self._form, self._flips = arm.form, arm.flips
        self._data_sets = [tuple(torch.tensor(a).float() for a in table) for table in data_sets]

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, 20) and labels y (B, n)."""
        X, y = self._data_sets[int(torch.randint(len(self._data_sets), (), generator=generator))]
        rows = torch.rand(n_tables, len(X), generator=generator).topk(n_rows).indices
        X, y = X[rows], y[rows]
        if self._flips:
            signs = torch.randint(2, (n_tables, 1, X.shape[2]), generator=generator) * 2 - 1
            order = torch.rand(n_tables, 1, X.shape[2], generator=generator).argsort(2)
            X = (X * signs).gather(2, order.expand_as(X))
            y = (y - torch.randint(2, (n_tables, 1), generator=generator)).abs()
        return self._form(X), y


def read_sets(cache: str | None) -> dict[int, Table]:
    """Numeric columns of the ten sets, scaled by all rows as in the paper's code, and labels."""
    tables = {}
    for task_id in PAPER:
        _, _, X, labels = load(task_id, cache)
        numbers = X.select_dtypes("number").to_numpy("float64")
        y = (labels == labels.cat.categories[-1]).to_numpy(int)
        tables[task_id] = (numbers - numbers.mean(0)) / numbers.std(0), y
    return tables


def pool(tables: dict[int, Table], left_out: int) -> list[Table]:
    """Rows of the sets but one that are in no test split."""
    kept = []
    for task_id, (X, y) in tables.items():
        if task_id != left_out:
            test = np.concatenate([row for _, row in prompts(len(X), SEEDS[0])])
            kept.append((np.delete(X, test, 0), np.delete(y, test)))
    return kept


@torch.inference_mode()
def correct(network: LoopedNetwork, arm: Arm, table: Table, seed: int) -> np.ndarray:
    """Say of each row of the test split whether its label is predicted from 40 others."""
    rows = np.array([[*support, *query] for support, query in prompts(len(table[0]), seed)])
    X, y = (torch.tensor(part[rows]).float() for part in table)
    if arm.scaled_by == "canonical":
        labels = indicators(y[:, :N_SHOTS], 2)
        X, _ = ClassReader.fit(X[:, :N_SHOTS], labels, config=network.config).table(X)
    else:
        X = arm.form(X)
    logits = network(X, y[:, :N_SHOTS], network.config.n_loops)[-1, :, 0]
    return (logits.argmax(1) == y[:, -1]).numpy()
