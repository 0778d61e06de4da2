"""The tasks of AlgoFormer: regression, sequences and networks through fixed representations.

Shapes: B tables, n rows, d columns, m units of a representation. Unlike in other priors, a column
has the same meaning in every table, and columns and targets have unit scale. `fixed_columns` marks
such priors, whose tables meta-training does not standardise.

References
----------
Y. Gao, C. Zheng, E. Xie, H. Shi, T. Hu, Y. Li, M. K. Ng, Z. Li, Z. Liu, "AlgoFormer: An Efficient
Transformer Framework with Algorithmic Structures", TMLR 2025.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from sklearn_looped.core.device import seeded_generator

SLOPE = 0.1  # of the leaky ReLU below zero
GAIN = (2 / (1 + SLOPE**2)) ** 0.5  # preserves the mean square of centred Gaussians


def leaky_layer(x: Tensor, W: Tensor) -> Tensor:
    """Apply one layer, (..., d) x (d, m) -> (..., m); unit columns of W preserve the scale."""
    return GAIN * F.leaky_relu(x @ W, SLOPE)


@dataclass(frozen=True)
class RepresentationPrior:
    r"""Linear functions of a fixed representation, :math:`y = a^\top \Phi(x) + \sigma\varepsilon`.

    :math:`\Phi` is a leaky ReLU network that is the same in every table; :math:`x \sim N(0, I_d)`
    and :math:`a \sim N(0, I_m / m)` are drawn for each table. The best prediction is ridge
    regression on :math:`\Phi(x)` with the penalty :math:`m \sigma^2`.

    Parameters
    ----------
    n_layers : int, default=2
        Number of layers of the network; 0: noisy linear regression of unit scale.
    n_units : int, default=8
        m, the number of units of every layer.
    noise : float, default=0.1
        Standard deviation of the Gaussian noise of the targets; that of the signal is about 1.
    seed : int, default=0
        Seed of the network's weights.
    """

    n_layers: int = 2
    n_units: int = 8
    noise: float = 0.1
    seed: int = 0
    fixed_columns: ClassVar[bool] = True

    def weights(self, n_features: int) -> list[Tensor]:
        """Matrices of the network's layers, with columns of length 1."""
        generator, sizes = (
            seeded_generator(self.seed),
            [n_features, *[self.n_units] * self.n_layers],
        )
        matrices = [torch.randn(*size, generator=generator) for size in pairwise(sizes)]
        return [F.normalize(W, dim=0) for W in matrices]

    def represent(self, X: Tensor) -> Tensor:
        """Map rows (..., d) to their representation (..., m)."""
        for W in self.weights(X.shape[-1]):
            X = leaky_layer(X, W)
        return X

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, d) and y (B, n)."""
        X = torch.randn(n_tables, n_rows, n_features, generator=generator)
        features = self.represent(X)
        m = features.shape[-1]
        a = torch.randn(n_tables, m, 1, generator=generator) / m**0.5
        y = (features @ a).squeeze(-1)
        return X, y + self.noise * torch.randn(y.shape, generator=generator)


@dataclass(frozen=True)
class AutoregressivePrior:
    r"""Sequences of vectors, :math:`x_{t+1} = A\,\Phi(x_t, \ldots, x_{t-q+1}) + \sigma\varepsilon`.

    :math:`\Phi` is a leaky ReLU network of the window, which is scaled to mean square 1 so that no
    sequence grows without bound. The network is the same in every table, and
    :math:`A_{ij} \sim N(0, 1/m)` is drawn for each. Row t contains the window, the latest vector
    first, and the target is the first coordinate of :math:`x_{t+1}`: the support is the past and
    the queries are the future. The paper's decoder has to copy the window from the q tokens
    before; here the columns contain it.

    Parameters
    ----------
    order : int, default=3
        q, the number of vectors in a window. It must divide the number of columns.
    n_layers, n_units, noise, seed
        As in `RepresentationPrior`.
    """

    order: int = 3
    n_layers: int = 2
    n_units: int = 8
    noise: float = 0.1
    seed: int = 0
    fixed_columns: ClassVar[bool] = True

    def represent(self, X: Tensor) -> Tensor:
        """Map windows (..., d) to their representation (..., m)."""
        scaled = X / X.square().mean(-1, keepdim=True).sqrt()
        return RepresentationPrior(self.n_layers, self.n_units, seed=self.seed).represent(scaled)

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw windows X (B, n, d) of one sequence per table, and the next values y (B, n)."""
        if n_features % self.order:
            raise ValueError(
                f"Got n_features={n_features}, but expected a multiple of order={self.order}."
            )
        size = n_features // self.order
        window = torch.randn(n_tables, n_features, generator=generator)
        m = self.represent(window).shape[-1]
        A = torch.randn(n_tables, m, size, generator=generator) / m**0.5
        noise = self.noise * torch.randn(n_rows, n_tables, size, generator=generator)
        windows, targets = [], []
        for shock in noise:
            following = torch.einsum("bm,bmc->bc", self.represent(window), A) + shock
            windows.append(window)
            targets.append(following[:, 0])
            window = torch.cat([following, window[:, :-size]], 1)
        return torch.stack(windows, 1), torch.stack(targets, 1)


@dataclass(frozen=True)
class NetworkLayersPrior:
    r"""Chains of thought through the layers of a leaky ReLU network, :math:`s_{l+1} = f(W_l s_l)`.

    The network is drawn for every table, and :math:`s_0 \sim N(0, I)`. An example has one row per
    layer, with the input of the layer and, as one-hot columns, its number. The target is the first
    unit of the layer's output. Any other unit would give a table of the same distribution, so that
    one trained network predicts all units and, layer by layer, the whole chain.

    Parameters
    ----------
    n_layers : int, default=3
        Number of layers of the network; the last columns of a table are their one-hot code.
    """

    n_layers: int = 3
    fixed_columns: ClassVar[bool] = True

    def states(self, generator: Generator, n_tables: int, n_examples: int, n_units: int) -> Tensor:
        """Draw the inputs and the outputs of all layers, (B, examples, 1 + n_layers, units)."""
        states = [torch.randn(n_tables, n_examples, n_units, generator=generator)]
        for _ in range(self.n_layers):
            W = torch.randn(n_tables, n_units, n_units, generator=generator)
            states.append(leaky_layer(states[-1], F.normalize(W, dim=1)))
        return torch.stack(states, 2)

    def rows(self, inputs: Tensor) -> Tensor:
        """Turn inputs (B, examples, n_layers, units) into rows (B, examples * n_layers, d)."""
        code = torch.eye(self.n_layers).expand(*inputs.shape[:2], -1, -1)
        return torch.cat([inputs, code], -1).flatten(1, 2)

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw X (B, n, d) and y (B, n), example by example and layer by layer."""
        n_units = n_features - self.n_layers
        if n_units < 1:
            raise ValueError(
                f"Got n_features={n_features}, but expected more than n_layers={self.n_layers}."
            )
        states = self.states(generator, n_tables, -(-n_rows // self.n_layers), n_units)
        X, y = self.rows(states[:, :, :-1]), states[:, :, 1:, 0].flatten(1)
        return X[:, :n_rows], y[:, :n_rows]
