"""Function classes with Gaussian inputs; four of them are those of Yang et al. 2024.

Each table has a random function of its own. Shapes: B tables, n rows, d columns. Targets have no
noise unless `noise` is set.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sklearn_looped.learned.priors.mechanisms import log_uniform


class FunctionPrior(ABC):
    """Base of the function classes."""

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw tables, each with a function of its own.

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
        return self._draw(generator, n_tables, n_rows, n_features)

    @abstractmethod
    def _draw(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, d) and y (B, n)."""


@dataclass(frozen=True)
class LinearPrior(FunctionPrior):
    r"""Linear functions, :math:`y = w^\top x + \sigma\varepsilon`, :math:`x, w \sim N(0, I_d)`.

    Parameters
    ----------
    noise : float, default=0.0
        Standard deviation of the Gaussian noise of the targets. The paper's code uses 0.1 in
        meta-training.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.priors import LinearPrior
    >>> X, y = LinearPrior().sample(torch.Generator().manual_seed(0), 3, 40, 20)
    >>> X.shape, y.shape
    (torch.Size([3, 40, 20]), torch.Size([3, 40]))
    """

    noise: float = 0.0

    def _draw(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        X = torch.randn(n_tables, n_rows, n_features, generator=generator)
        w = torch.randn(n_tables, n_features, 1, generator=generator)
        y = (X @ w).squeeze(-1)
        return X, y + self.noise * torch.randn(y.shape, generator=generator)


@dataclass(frozen=True)
class IllConditionedLinearPrior(FunctionPrior):
    r"""Linear functions whose inputs have a covariance of given condition number.

    :math:`x \sim N(0, \Sigma)` and :math:`w \sim N(0, \Sigma^{-1})`, so that all principal
    directions have the same share in y (Gatmiry et al. 2024). For each table a condition number
    :math:`\kappa` is drawn log-uniformly from the given range, the eigenvalues of :math:`\Sigma`
    log-uniformly between 1 and :math:`\kappa`, both of which occur, and the eigenvectors
    uniformly. Scaling the columns therefore does not improve the condition number.

    Parameters
    ----------
    condition : tuple of float, default=(1.0, 1e4)
        Range of the condition number, at least 1. Above about 1e8 the targets are no longer linear
        in the inputs in float32.

    Raises
    ------
    ValueError
        If the range is empty or starts below 1.

    References
    ----------
    K. Gatmiry et al., "Can Looped Transformers Learn to Implement Multi-step Gradient Descent for
    In-context Learning?", ICML 2024.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.priors import IllConditionedLinearPrior
    >>> prior = IllConditionedLinearPrior(condition=(100.0, 100.0))
    >>> X, y = prior.sample(torch.Generator().manual_seed(0), 1, 100_000, 5)
    >>> bool(abs(torch.linalg.cond(X[0].T @ X[0]) - 100) < 5)
    True
    """

    condition: tuple[float, float] = (1.0, 1e4)

    def __post_init__(self) -> None:
        low, high = self.condition
        if not 1 <= low <= high:
            raise ValueError(f"Got condition=({low}, {high}), but expected 1 <= low <= high.")

    def _draw(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        low, high = self.condition
        condition = log_uniform(generator, n_tables, 1, low=low, high=high)
        place = torch.rand(n_tables, n_features, generator=generator)
        place[:, -1], place[:, 0] = 1.0, 0.0
        eigenvalues = condition**place  # (B, d)
        # QR leaves the signs of the columns undetermined; the covariance does not depend on them.
        Q = torch.linalg.qr(torch.randn(n_tables, n_features, n_features, generator=generator)).Q
        white = torch.randn(n_tables, n_rows, n_features, generator=generator)
        w = torch.randn(n_tables, n_features, 1, generator=generator)
        return (white * eigenvalues.sqrt()[:, None]) @ Q.mT, (white @ w).squeeze(-1)


@dataclass(frozen=True)
class SparseLinearPrior(FunctionPrior):
    r"""Linear functions of few coordinates: :math:`w \sim N(0, I_d)` with `sparsity` entries kept.

    Parameters
    ----------
    sparsity : int, default=3
        Number of coordinates that are kept, drawn uniformly; all of them if d is smaller. Weights
        are not rescaled, so that :math:`E[y^2]` is `sparsity`.
    """

    sparsity: int = 3

    def _draw(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        X = torch.randn(n_tables, n_rows, n_features, generator=generator)
        w = torch.randn(n_tables, n_features, generator=generator)
        rank = torch.rand(n_tables, n_features, generator=generator).argsort(1).argsort(1)
        return X, torch.einsum("bnd,bd->bn", X, w * (rank < self.sparsity))


@dataclass(frozen=True)
class DecisionTreePrior(FunctionPrior):
    """Complete binary trees on signs: a row goes right if the node's coordinate is positive.

    Parameters
    ----------
    depth : int, default=4
        Depth of the tree. Every inner node tests a coordinate that is drawn uniformly; the values
        of the leaves are standard normal, so that the variance of y is 1.
    """

    depth: int = 4

    def _draw(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        n_nodes = 2 ** (self.depth + 1) - 1
        X = torch.randn(n_tables, n_rows, n_features, generator=generator)
        tested = torch.randint(n_features, (n_tables, n_nodes), generator=generator)
        values = torch.randn(n_tables, n_nodes, generator=generator)
        node = torch.zeros(n_tables, n_rows, dtype=torch.long)
        for _ in range(self.depth):
            column = tested.gather(1, node)  # (B, n)
            right = X.gather(2, column[..., None]).squeeze(-1) > 0
            node = 2 * node + 1 + right
        return X, values.gather(1, node)


@dataclass(frozen=True)
class ReLUNetworkPrior(FunctionPrior):
    r"""Two-layer ReLU networks, :math:`y = \sqrt{2/m}\; v^\top \mathrm{relu}(W^\top x)`.

    Parameters
    ----------
    n_hidden : int, default=100
        m, the number of hidden units. The entries of W (d x m) and v are standard normal, so that
        :math:`E[y^2]` is d.
    """

    n_hidden: int = 100

    def _draw(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        X = torch.randn(n_tables, n_rows, n_features, generator=generator)
        W = torch.randn(n_tables, n_features, self.n_hidden, generator=generator)
        v = torch.randn(n_tables, self.n_hidden, 1, generator=generator)
        return X, math.sqrt(2 / self.n_hidden) * (torch.relu(X @ W) @ v).squeeze(-1)
