"""AlgoFormer by construction, then with learned weights: a representation, and steps on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from sklearn_looped.bridge.descent import DescentConfig, DescentNetwork
from sklearn_looped.bridge.layers import AffineLayers
from sklearn_looped.learned.model.readout import SquaredLoss
from sklearn_looped.programmed.algorithms.algoformer.blocks import (
    hidden_fields,
    representation_units,
)
from sklearn_looped.programmed.transformer.layers import Layer, make_layers
from sklearn_looped.programmed.transformer.layout import Layout

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class AlgoFormerConfig(DescentConfig):
    r"""What an `AlgoFormerNetwork` starts from, and which of its weights are learned.

    Parameters
    ----------
    n_features, n_steps, condition, momentum, newton
        As in `DescentConfig`; the steps' sizes are multiples of `step_size`.
    trained : tuple of str, default=("representation", "step_size", "momentum", "preconditioner")
        As in `DescentConfig`; "representation" are the `weights`.
    weights : tuple of matrices (m_in, m_out), default=()
        Layers of the representation, as tuples of tuples, the first with m_in = n_features.
    slope : float, default=0.1
        Of their leaky ReLUs below 0.
    step_size : float, default=1.0
        Step size on the mean squared error; stays as it is.
    random : tuple of str, default=()
        Trained weights that start at random values instead, drawn by torch's global generator:
        the baseline of a construction.

    Raises
    ------
    ValueError
        As `DescentConfig`, if matrices do not fit one another, or `random` names weights that are
        not trained.
    """

    trained: tuple[str, ...] = ("representation", "step_size", "momentum", "preconditioner")
    weights: tuple[Matrix, ...] = ()
    slope: float = 0.1
    step_size: float = 1.0
    random: tuple[str, ...] = ()

    trainable: ClassVar[tuple[str, ...]] = ("representation", *DescentConfig.trainable)

    def __post_init__(self) -> None:
        super().__post_init__()
        shapes = [(len(W), *{len(row) for row in W}) for W in self.weights]
        if shapes != list(pairwise([self.n_features, *(shape[-1] for shape in shapes)])):
            raise ValueError(
                f"Got weights of shapes {shapes} for n_features={self.n_features}, but each has a "
                "row for an entry of its input."
            )
        if not self.step_size > 0 or not 0 < self.slope <= 1:
            raise ValueError(
                f"Got step_size={self.step_size!r} and slope={self.slope!r}, but expected both "
                "above 0 and the slope at most 1."
            )
        if not set(self.random) <= set(self.trained):
            raise ValueError(f"Got random={self.random!r}, but trained are {self.trained}.")

    @property
    def width(self) -> int:
        """Entries of the representation."""
        return len(self.weights[-1][0]) if self.weights else self.n_features

    @property
    def loss(self) -> type[nn.Module]:
        """Loss that meta-training descends."""
        return SquaredLoss

    def build(self) -> "AlgoFormerNetwork":
        """Build the network, with the weights of the construction.

        Returns
        -------
        network : AlgoFormerNetwork
        """
        return AlgoFormerNetwork(self)


class AlgoFormerNetwork(DescentNetwork):
    r"""The constructed AlgoFormer for regression on a representation, with weights to be learned.

    As built it computes what `sklearn_looped.programmed.algorithms.algoformer.regress` computes:
    a block before the loop with the representation :math:`\Phi`, and a loop of gradient or Newton
    steps on it. A row is one token, so the layers that read the tokens before it are left out.

    Parameters
    ----------
    config : AlgoFormerConfig

    Attributes
    ----------
    representation : ParameterList of shapes (m_in, m_out)
        Layers of :math:`\Phi`.
    log_step_size, momentum, growth, whitening, preconditioner
        As in `DescentNetwork`, in units of :math:`\Phi(x) \sqrt{\eta / n}` with the `step_size`
        :math:`\eta` and n rows of support.

    References
    ----------
    Y. Gao et al., "AlgoFormer: An Efficient Transformer Framework with Algorithmic Structures",
    TMLR 2025.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.bridge.algoformer import AlgoFormerConfig
    >>> network = AlgoFormerConfig(1, weights=(((1.0, -1.0),),), step_size=0.25).build()
    >>> X, y = torch.tensor([[[1.0], [-2.0], [3.0], [-1.0]]]), torch.tensor([[1.9, 1.6, 5.7]])
    >>> network(X, y, n_loops=200).round(decimals=6).tolist()
    [[[[0.8]]]]
    """

    config: AlgoFormerConfig

    def __init__(self, config: AlgoFormerConfig) -> None:
        super().__init__(config)
        self.representation = nn.ParameterList(
            nn.Parameter(torch.tensor(W, dtype=torch.float64), "representation" in config.trained)
            for W in config.weights
        )
        self._before = AffineLayers(self._represent, sum(W.numel() for W in self.representation))
        self._draw(set(config.random))

    @torch.no_grad()
    def _draw(self, names: set[str]) -> None:
        """Draw the named weights at random, with the scales that are usual for them."""
        if "representation" in names:
            for W in self.representation:
                nn.init.kaiming_normal_(W.T, a=self.config.slope)
        if "preconditioner" in names:
            self.preconditioner.normal_(0, self.config.width**-0.5)
        if "step_size" in names:
            self.log_step_size.normal_()
        if "momentum" in names:
            self.momentum.uniform_(0, 0.9)
        if "whitening" in names:
            self.growth.uniform_(0, 0.5)
            self.whitening.uniform_(0, 0.5)

    def _layout(self) -> Layout:
        hidden = hidden_fields([np.array(W) for W in self.config.weights])
        return super()._layout().extend(window=self.config.n_features, scale=1, **hidden)

    def _represent(self, values: Sequence[float]) -> list[Layer]:
        shapes = [np.shape(W) for W in self.config.weights]
        ends = np.cumsum([np.prod(shape) for shape in shapes]).astype(int)
        parts = zip(np.split(np.array(values), ends[:-1]), shapes, strict=False)
        weights = [part.reshape(shape) for part, shape in parts]
        units = representation_units(self._fields, "window", weights, self.config.slope)
        return make_layers(self._fields, ("support", "query"), *(((), each) for each in units))

    def matrices(self) -> list[nn.Parameter]:
        """Matrices that meta-training moves by Muon."""
        return [*super().matrices(), *self.representation]

    def _prompt(self, X: Tensor, y: Tensor) -> Tensor:
        """Tokens (B, n, width) as they enter the loop."""
        state = self._load(X, y, "window")
        state[..., self._fields["scale"]] = (self.config.step_size / y.shape[1]) ** 0.5
        values = [X.new_zeros(0), *(W.flatten() for W in self.representation)]
        return self._before(state, self._before.weights(torch.cat(values)))
