"""Priors: distributions over the tables on which a looped transformer is meta-trained."""

from typing import Protocol, runtime_checkable

from torch import Generator, Tensor

from sklearn_looped.learned.priors.functions import (
    DecisionTreePrior,
    IllConditionedLinearPrior,
    LinearPrior,
    ReLUNetworkPrior,
    SparseLinearPrior,
)
from sklearn_looped.learned.priors.labels import ClassTables
from sklearn_looped.learned.priors.own import OwnTables
from sklearn_looped.learned.priors.tables import SyntheticTables

__all__ = [
    "ClassTables",
    "DecisionTreePrior",
    "IllConditionedLinearPrior",
    "LinearPrior",
    "OwnTables",
    "Prior",
    "ReLUNetworkPrior",
    "SparseLinearPrior",
    "SyntheticTables",
]


class Prior(Protocol):
    """Anything that draws tables from a generator."""

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw tables.

        Parameters
        ----------
        generator : Generator
            Source of all random numbers.
        n_tables, n_rows, n_features : int
            B, n and d.

        Returns
        -------
        X : Tensor of shape (n_tables, n_rows, n_features)
        y : Tensor of shape (n_tables, n_rows)
        """


@runtime_checkable
class KnowsSignal(Protocol):
    """A prior that can also return its targets without their noise."""

    def sample_with_signal(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw X (B, n, d), y (B, n) and the target without its noise (B, n)."""


@runtime_checkable
class FixedColumns(Protocol):
    """A prior of unit scale in which a column has the same meaning in every table.

    Meta-training does not standardise, sign or sort the columns of its tables, because that would
    hide what they have in common. Such priors are meant for networks that are used without an
    estimator: estimators always standardise.
    """

    fixed_columns: bool


PRIORS: dict[str, Prior] = {
    "linear": LinearPrior(),
    "sparse-linear": SparseLinearPrior(),
    "decision-tree": DecisionTreePrior(),
    "relu-network": ReLUNetworkPrior(),
    "tables": SyntheticTables(),
}
