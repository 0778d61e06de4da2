"""Gradient descent and Newton steps by construction, then with learned weights.

Shapes: B tables, n rows of which the first s are the support and q = n - s are queries, d columns,
k steps in the loop body.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_looped.bridge.layers import AffineLayers
from sklearn_looped.core.loop import run_loop
from sklearn_looped.learned.model.readout import Target
from sklearn_looped.programmed.algorithms.descent import (
    NEWTON,
    Step,
    chebyshev_steps,
    descent_fields,
    descent_layers,
)
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.layout import Layout

FLOOR = 1e-8  # of the normalised squared error: what is far below it is not worth a step


class LogErrorLoss(nn.Module):
    """Mean decimal logarithm of the tables' normalised squared errors.

    A loop that divides the error by ten counts the same at 1 and at 1e-6, and an ill-conditioned
    table no more than another one.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.bridge.descent import LogErrorLoss
    >>> from sklearn_looped.learned.model.readout import Target
    >>> y = torch.tensor([[3.0, 1.0]])
    >>> LogErrorLoss()(0.9 * y[None, ..., None], Target.of(y))
    tensor(-2.0000)
    """

    def forward(self, output: Tensor, target: Target) -> Tensor:
        """Score outputs (T, B, q, 1)."""
        error = (output[..., 0] - target.y).square().sum(-1)
        return torch.log10(error / target.y.square().sum(-1) + FLOOR).mean()


@dataclass(frozen=True)
class DescentConfig:
    r"""What a `DescentNetwork` starts from, and which of its weights are learned.

    Parameters
    ----------
    n_features : int
        Largest number of columns; narrower tables are padded with zeros.
    n_steps : int, default=1
        k, the gradient steps of the loop body, one layer each.
    condition : float, default=1.0
        The step sizes start as Chebyshev's cycle for this condition number. A loop body of
        several steps needs one above 1: steps that start equal stay equal.
    momentum : float, default=0.0
        Where the momenta start.
    newton : bool, default=False
        Whether the steps whiten the inputs, at first by the Newton-Schulz iteration with steps
        of size 1; `condition` is then not used.
    trained : tuple of str, default=("step_size",)
        Among "step_size", "momentum", "whitening" and "preconditioner"; what is not named stays
        as constructed.

    Raises
    ------
    ValueError
        If a number is out of its range or a name unknown.
    """

    n_features: int
    n_steps: int = 1
    condition: float = 1.0
    momentum: float = 0.0
    newton: bool = False
    trained: tuple[str, ...] = ("step_size",)

    trainable: ClassVar[tuple[str, ...]] = ("step_size", "momentum", "whitening", "preconditioner")

    def __post_init__(self) -> None:
        for name in ("n_features", "n_steps", "condition"):
            if not getattr(self, name) >= 1:  # nor NaN
                raise ValueError(f"Got {name}={getattr(self, name)!r}, but expected at least 1.")
        if not self.trained or not set(self.trained) <= set(self.trainable):
            raise ValueError(
                f"Got trained={self.trained!r}, but expected some of {self.trainable}."
            )
        if "whitening" in self.trained and not self.newton:
            raise ValueError("Got trained whitening, but there is none; set newton=True.")

    @property
    def steps(self) -> list[Step]:
        """Steps of the construction."""
        if self.newton:
            return [NEWTON._replace(momentum=self.momentum)] * self.n_steps
        steps = chebyshev_steps(self.n_steps, self.condition)
        return [step._replace(momentum=self.momentum) for step in steps]

    @property
    def width(self) -> int:
        """Entries of x, on which the steps go down."""
        return self.n_features

    @property
    def loss(self) -> type[nn.Module]:
        """Loss that meta-training descends."""
        return LogErrorLoss

    @property
    def centre(self) -> bool:
        """Prompts in canonical form have their means taken off."""
        return True

    def build(self) -> "DescentNetwork":
        """Build the network, with the weights of the construction.

        Returns
        -------
        network : DescentNetwork
        """
        return DescentNetwork(self)


class DescentNetwork(nn.Module):
    r"""The loop body of in-context gradient descent, with weights to be learned.

    As built it computes what
    `sklearn_looped.programmed.algorithms.descent.descend` computes with ``config.steps``. It is in
    float64, takes tables in the canonical form of the learned half, and is trained by
    `sklearn_looped.learned.training.metatrain.meta_train`: linear attention learns preconditioned
    gradient descent (Gatmiry et al. 2024), here from a start that is one already.

    Parameters
    ----------
    config : DescentConfig

    Attributes
    ----------
    log_step_size : Parameter of shape (k,)
        Logarithms of the step sizes, for inputs in units in which the support's Gram matrix C
        has Frobenius norm 1.
    momentum : Parameter of shape (k,)
        Share of each step that the next one repeats.
    growth, whitening : Parameter of shape (k,)
        The inputs become :math:`(1 + g)(I - w C) x` after each step; only with ``config.newton``.
    preconditioner : Parameter of shape (n_features, n_features)
        P of the scores :math:`x_j^\top P x_i`, the same in all steps. Canonical form has sorted
        the columns by falling correlation with the target. `steps()` and P are what `descend`
        takes.

    References
    ----------
    K. Gatmiry et al., "Can Looped Transformers Learn to Implement Multi-step Gradient Descent for
    In-context Learning?", ICML 2024. K. Ahn et al., "Transformers learn to implement
    preconditioned gradient descent for in-context learning", NeurIPS 2023.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.bridge import DescentConfig
    >>> network = DescentConfig(n_features=2, newton=True, trained=("whitening",)).build()
    >>> X = torch.tensor([[[1.0, 1.0], [0.0, 0.5], [1.0, 0.0]]])
    >>> network(X, torch.tensor([[3.0, 1.0]]), n_loops=10).round(decimals=6).tolist()
    [[[[1.0]]]]
    >>> network.steps()[0]
    Step(size=1.0, momentum=0.0, growth=0.5, whitening=0.3333333333333333)
    """

    def __init__(self, config: DescentConfig) -> None:
        super().__init__()
        self.config = config
        size, momentum, growth, whitening = torch.tensor(config.steps, dtype=torch.float64).T
        trained = set(config.trained)
        self.log_step_size = nn.Parameter(size.log(), "step_size" in trained)
        self.momentum = nn.Parameter(momentum.clone(), "momentum" in trained)
        self.growth = nn.Parameter(growth.clone(), "whitening" in trained)
        self.whitening = nn.Parameter(whitening.clone(), "whitening" in trained)
        identity = torch.eye(config.width, dtype=torch.float64)
        self.preconditioner = nn.Parameter(identity, "preconditioner" in trained)
        n_values = 4 * config.n_steps + identity.numel()
        self._fields = self._layout()
        self._layers = AffineLayers(lambda values: self._construct(values).layers, n_values)

    def _layout(self) -> Layout:
        return descent_fields(self.config.width, newton=self.config.newton)

    def _construct(self, values: Sequence[float]) -> Block:
        d, k = self.config.width, self.config.n_steps
        steps = [Step(*numbers) for numbers in np.reshape(values[: 4 * k], (4, k)).T.tolist()]
        P = np.reshape(values[4 * k :], (d, d))
        return Block(self._fields, descent_layers(self._fields, steps, P))

    def matrices(self) -> list[nn.Parameter]:
        """Matrices that meta-training moves by Muon."""
        return [self.preconditioner]

    def steps(self) -> list[Step]:
        """Read the learned steps; `descend` takes them."""
        return [Step(*numbers) for numbers in self._numbers().detach().T.tolist()]

    def _numbers(self) -> Tensor:
        numbers = [self.log_step_size.exp(), self.momentum, self.growth, self.whitening]
        return torch.stack(numbers)  # (4, k)

    def _prompt(self, X: Tensor, y: Tensor) -> Tensor:
        """Tokens (B, n, width), in units in which the support's Gram matrix has norm 1."""
        s = y.shape[1]
        gram = X[:, :s].mT @ X[:, :s]
        unit = torch.linalg.matrix_norm(gram, keepdim=True).sqrt()
        X = X / torch.where(unit > 0, unit, 1)
        state = self._load(X, y, "x")
        if self.config.newton:
            state[:, :s, self._fields["key"]] = state[:, :s, self._fields["x"]]
        return state

    def _load(self, X: Tensor, y: Tensor, field: str) -> Tensor:
        """Tokens with X, padded with zeros, in a field, and y as residuals of the support."""
        s = y.shape[1]
        state = X.new_zeros(*X.shape[:2], self._fields.width)
        state[..., self._fields["one"]] = 1.0
        state[:, :s, self._fields["support"]] = 1.0
        state[..., self._fields[field]] = F.pad(X, (0, self.config.n_features - X.shape[-1]))
        state[:, :s, self._fields["residual"]] = y[..., None]
        return state

    def forward(
        self, X: Tensor, y: Tensor, n_loops: int, window: int = 1, n_grad_loops: int | None = None
    ) -> Tensor:
        """Predict the queries of a batch of tables.

        Parameters
        ----------
        X : Tensor of shape (B, n, d)
            Features in canonical form, the support first.
        y : Tensor of shape (B, s)
            Targets of the support in canonical form.
        n_loops, window, n_grad_loops
            As in `sklearn_looped.learned.model.network.LoopedNetwork.forward`.

        Returns
        -------
        Tensor of shape (min(window, n_loops), B, q, 1)
        """
        prompt = self._prompt(X.double(), y.double())
        values = torch.cat([self._numbers().flatten(), self.preconditioner.flatten()])
        weights = self._layers.weights(values)
        states = run_loop(
            lambda z: self._layers(z, weights),
            prompt,
            n_loops,
            window=window,
            n_grad_loops=n_grad_loops,
        )
        queries, field = slice(y.shape[1], None), self._fields["prediction"]
        # Copies: a view would keep all of the tokens.
        return torch.stack([tokens[:, queries, field].clone() for tokens in states])
