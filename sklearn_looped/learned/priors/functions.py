"""Function classes with Gaussian inputs, one random function a table; four of Yang et al. 2024.

Shapes: B tables, n rows, d columns. All are noise-free unless `noise` says otherwise and vectorised
over tables.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sklearn_looped.learned.priors.mechanisms import log_uniform


@dataclass(frozen=True)
class LinearPrior:
    r"""Linear functions, :math:`y = w^\top x + \sigma\varepsilon`, :math:`x, w \sim N(0, I_d)`.

    Parameters
    ----------
    noise : float, default=0.0
        Standard deviation of the Gaussian label noise. The paper's code meta-trains with 0.1.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.priors import LinearPrior
    >>> X, y = LinearPrior().sample(torch.Generator().manual_seed(0), 3, 40, 20)
    >>> X.shape, y.shape
    (torch.Size([3, 40, 20]), torch.Size([3, 40]))
    """

    noise: float = 0.0

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, d) and y (B, n)."""
        X = torch.randn(n_tables, n_rows, n_features, generator=generator)
        w = torch.randn(n_tables, n_features, 1, generator=generator)
        y = (X @ w).squeeze(-1)
        return X, y + self.noise * torch.randn(y.shape, generator=generator)


@dataclass(frozen=True)
class IllConditionedLinearPrior:
    r"""Linear functions whose inputs have a covariance of given condition number.

    :math:`x \sim N(0, \Sigma)` and :math:`w \sim N(0, \Sigma^{-1})`, so that all principal
    directions count alike in y (Gatmiry et al. 2024). Each table draws a condition number
    :math:`\kappa`, log-uniformly in the given range, eigenvalues of :math:`\Sigma` log-uniformly
    between 1 and :math:`\kappa`, both attained, and their directions uniformly: scaling columns
    does not undo the conditioning.

    Parameters
    ----------
    condition : tuple of float, default=(1.0, 1e4)
        Range of the condition number; at least 1. In float32, above about 1e8 the targets are no
        longer linear in the inputs.

    Raises
    ------
    ValueError
        If the range is empty or begins below 1.

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

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, d) and y (B, n)."""
        low, high = self.condition
        condition = log_uniform(generator, n_tables, 1, low=low, high=high)
        place = torch.rand(n_tables, n_features, generator=generator)
        place[:, -1], place[:, 0] = 1.0, 0.0
        eigenvalues = condition**place  # (B, d)
        # QR leaves the signs of the columns open, which a covariance does not see.
        Q = torch.linalg.qr(torch.randn(n_tables, n_features, n_features, generator=generator)).Q
        white = torch.randn(n_tables, n_rows, n_features, generator=generator)
        w = torch.randn(n_tables, n_features, 1, generator=generator)
        return (white * eigenvalues.sqrt()[:, None]) @ Q.mT, (white @ w).squeeze(-1)


@dataclass(frozen=True)
class SparseLinearPrior:
    r"""Linear functions of few coordinates: :math:`w \sim N(0, I_d)` with `sparsity` entries kept.

    Parameters
    ----------
    sparsity : int, default=3
        Coordinates kept, drawn uniformly; all of them where d is smaller. Not rescaled, so that
        :math:`E[y^2]` is `sparsity`.
    """

    sparsity: int = 3

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, d) and y (B, n)."""
        X = torch.randn(n_tables, n_rows, n_features, generator=generator)
        w = torch.randn(n_tables, n_features, generator=generator)
        rank = torch.rand(n_tables, n_features, generator=generator).argsort(1).argsort(1)
        return X, torch.einsum("bnd,bd->bn", X, w * (rank < self.sparsity))


@dataclass(frozen=True)
class DecisionTreePrior:
    """Complete binary trees on signs: go right where the node's coordinate is positive.

    Parameters
    ----------
    depth : int, default=4
        Depth of the tree. Every inner node tests a uniformly drawn coordinate; the leaves' values
        are standard normal, so that the variance of y is 1.
    """

    depth: int = 4

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, d) and y (B, n)."""
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
class ReLUNetworkPrior:
    r"""Two-layer ReLU networks, :math:`y = \sqrt{2/m}\; v^\top \mathrm{relu}(W^\top x)`.

    Parameters
    ----------
    n_hidden : int, default=100
        m, the hidden units. Entries of W (d x m) and v are standard normal, so that
        :math:`E[y^2]` is d.
    """

    n_hidden: int = 100

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, d) and y (B, n)."""
        X = torch.randn(n_tables, n_rows, n_features, generator=generator)
        W = torch.randn(n_tables, n_features, self.n_hidden, generator=generator)
        v = torch.randn(n_tables, self.n_hidden, 1, generator=generator)
        return X, math.sqrt(2 / self.n_hidden) * (torch.relu(X @ W) @ v).squeeze(-1)
