"""The four function classes of Yang et al. 2024: Gaussian inputs, one random function a table.

Shapes: B tables, n rows, d columns. All are noise-free unless `noise` says otherwise and vectorised
over tables.
"""

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor


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
