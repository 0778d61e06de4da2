"""The decoder of Yang et al. 2024: a looped GPT-2 over the rows of a prompt.

Shapes: B prompts, n rows of which the first s are known and q = n - s are queries, d columns,
D width. A row is two tokens, x and y.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_looped.core.loop import add_prompt, run_loop
from sklearn_looped.learned.model.blocks import KeysValues, draw_normal
from sklearn_looped.learned.model.causal_block import STD, CausalBlock
from sklearn_looped.learned.model.config import LIMITS, NetworkConfig
from sklearn_looped.learned.model.memory import LoopMemory, Step, SupportMemory
from sklearn_looped.learned.model.readout import SquaredLoss

LACKING = ("n_pre_blocks", "n_post_blocks", "n_quantiles", "n_gate_units", "n_bases", "n_classes")


@dataclass(frozen=True)
class CausalConfig(NetworkConfig):
    """Shape of a `CausalNetwork`; its defaults are the looped network of Yang et al. 2024.

    ``CausalConfig(n_loop_blocks=12, n_loops=1)`` is the unlooped one. Of the parameters of
    `NetworkConfig` those that a decoder lacks (quantiles, experts, exit gate, classes, blocks
    outside of the loop, feedback) are 0 or False.

    Parameters
    ----------
    n_features : int, default=20
        Columns of the read-in.
    width, n_heads : int, default=256, 8
        As in `NetworkConfig`.
    n_pre_blocks : int, default=0
        Not used.
    n_loop_blocks : int, default=1
        Blocks of the loop.
    n_post_blocks : int, default=0
        Not used.
    n_loops : int, default=30
        Loops of a prediction unless another number is given.
    n_quantiles : int, default=0
        Not used.
    injection : bool, default=True
        Whether the prompt is added to the state before every pass.
    n_gate_units : int, default=0
        Not used.
    n_views : int, default=1
        As in `NetworkConfig`.
    centre : bool, default=False
        As in `NetworkConfig`.
    experts : bool, default=False
        Not used.
    feed_forward : int, default=4
        As in `NetworkConfig`.
    n_bases, n_classes : int, default=0
        Not used.
    feedback : bool, default=False
        Not used.
    max_examples : int, default=101
        Most known rows of a prompt: positions are learned for two tokens a row and a query.
    target_scale : float, default=1.0
        Size of the targets that the network is trained on, the root of E[y^2]. An estimator hands
        it targets of size 1, which are multiplied by this and predictions divided.
    """

    limits: ClassVar = LIMITS | dict.fromkeys(LACKING, (0, 0)) | {"max_examples": (1, 4096)}
    tokens_per_row: ClassVar[int] = 2

    n_features: int = 20
    n_loops: int = 30
    n_quantiles: int = 0
    n_views: int = 1
    centre: bool = False
    max_examples: int = 101
    target_scale: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("experts", "feedback"):
            if getattr(self, name):
                raise ValueError(f"Got {name}=True, but a causal decoder has none. Leave it out.")
        if not 0 < self.target_scale < float("inf"):
            raise ValueError(f"Got target_scale={self.target_scale!r}, but expected above 0.")

    @property
    def loss(self) -> type[nn.Module]:
        """Loss of the predictions of all prefixes."""
        return SquaredLoss

    def build(self) -> "CausalNetwork":  # type: ignore[override]
        """Build the network, with random weights from torch's global generator.

        Returns
        -------
        network : CausalNetwork
        """
        return CausalNetwork(self)


class CausalNetwork(nn.Module):
    """The looped decoder of Yang et al. 2024 (with one loop, that of Garg et al. 2022).

    A prompt is read as the tokens x1, y1, x2, y2, ..., all by one linear map, y padded with zeros
    to the width of x; the network predicts y at every x, from the rows before it. A pass of the
    loop adds the prompt and the learned positions to the state, applies the blocks of GPT-2 and
    normalises, as the paper's code does.

    `forward` takes prompts in the units of the prior. `encode_support` and `predict_queries` are
    what estimators call on tables in canonical form: the same computation, with keys and values
    of the known rows kept for all queries. Their rows come in an order of their own and are
    shuffled, always in the same way, because training has seen rows in random order.

    Parameters
    ----------
    config : CausalConfig
        The shape. Weights are initialised from torch's global generator.

    References
    ----------
    L. Yang, K. Lee, R. Nowak, D. Papailiopoulos, "Looped Transformers are Better at Learning
    Learning Algorithms", ICLR 2024, Section 4 and Eq. 1. S. Garg et al., "What Can Transformers
    Learn In-Context?", NeurIPS 2022.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.model.causal import CausalConfig, CausalNetwork
    >>> network = CausalNetwork(CausalConfig(n_features=4, width=16, n_heads=2))
    >>> network(torch.zeros(1, 7, 3), torch.zeros(1, 6), n_loops=5, window=2).shape
    torch.Size([2, 1, 7, 1])
    """

    gate = None  # no learned exit

    def __init__(self, config: CausalConfig) -> None:
        super().__init__()
        self.config = config
        width, n_blocks = config.width, config.n_loop_blocks
        self.read_in = nn.Linear(config.n_features, width)
        self.positions = nn.Parameter(torch.empty(2 * config.max_examples + 1, width))
        self.loop = nn.ModuleList(
            CausalBlock(width, config.n_heads, config.feed_forward, n_blocks)
            for _ in range(n_blocks)
        )
        self.norm = nn.LayerNorm(width)
        self.read_out = nn.Linear(width, 1)
        # As in the papers' code, read-in and read-out begin as torch's linear maps do. GPT-2's .02
        # would make the prompt small beside a state that every pass normalises.
        draw_normal(self.positions, STD)

    def matrices(self) -> list[nn.Parameter]:
        """Matrices of the blocks, which Muon moves if the recipe asks for it."""
        return [p for p in self.loop.parameters() if p.ndim == 2]

    def _embed(self, rows: Tensor) -> Tensor:
        """Tokens (B, n, D) of x (B, n, d) or of y (B, n, 1), which has zeros behind it."""
        known = torch.where(rows.isnan(), 0, rows)
        return self.read_in(F.pad(known, (0, self.config.n_features - rows.shape[-1])))

    def _prompt(self, X: Tensor, y: Tensor) -> Tensor:
        """Interleave tokens: x1, y1, x2, ..., (B, n + s, D); s is n or n - 1."""
        tokens = [self._embed(X), self._embed(F.pad(y, (0, X.shape[1] - y.shape[1]))[..., None])]
        return torch.stack(tokens, 2).flatten(1, 2)[:, : X.shape[1] + y.shape[1]]

    def _passed(
        self, state: Tensor, weights: Tensor | None = None
    ) -> tuple[Tensor, list[KeysValues]]:
        """One pass of the loop over a whole prompt, and what it leaves for queries."""
        rows, kept = state + self.positions[: state.shape[1]], []
        for block in self.loop:
            rows, keys_values = block(rows, weights)
            kept.append(keys_values)
        return self.norm(rows), kept

    @property
    def _inject(self) -> Any:
        return add_prompt if self.config.injection else None

    def forward(
        self,
        X: Tensor,
        y: Tensor,
        n_loops: int,
        window: int = 1,
        n_grad_loops: int | None = None,
    ) -> Tensor:
        """Predict every row of prompts from the rows before it, as meta-training does.

        Parameters
        ----------
        X : Tensor of shape (B, n, d)
        y : Tensor of shape (B, n - 1)
            Targets of all rows but the last.
        n_loops, window, n_grad_loops : int
            As `sklearn_looped.learned.model.network.LoopedNetwork.forward`.

        Returns
        -------
        Tensor of shape (min(window, n_loops), B, n, 1)
        """
        states = run_loop(
            lambda state: self._passed(state)[0], self._prompt(X, y), n_loops,
            inject=self._inject, window=window, n_grad_loops=n_grad_loops,
        )  # fmt: skip
        return torch.stack([self.read_out(state[:, ::2]) for state in states])

    def _shuffle(self, y: Tensor, weights: Tensor | None) -> Tensor:
        """Order (B, s) of rows, that of a table whatever pads it; padding (weight 0) stays last."""
        generator = torch.Generator().manual_seed(0)
        keys = torch.rand(self.config.max_examples, generator=generator, device="cpu")
        order = keys[: y.shape[1]].argsort().to(y.device).expand(len(y), -1)
        if weights is None:
            return order
        padding = weights.gather(1, order) == 0
        return order.gather(1, padding.byte().argsort(dim=1, stable=True))

    def encode_support(
        self,
        X: Tensor,
        y: Tensor,
        n_loops: int,
        weights: Tensor | None = None,
        opinions: None = None,
    ) -> SupportMemory:
        """Run known rows X (B, s, d), y (B, s) alone; keep their keys and values at every loop.

        Exact, because a token does not see those behind it. A row of weight w, (B, s), is attended
        to as w rows are; it still has one position.
        """
        memory = self.stream_support(X, y, n_loops, weights)
        return memory._replace(loops=list(memory.loops))

    def stream_support(
        self,
        X: Tensor,
        y: Tensor,
        n_loops: int,
        weights: Tensor | None = None,
        opinions: None = None,
    ) -> SupportMemory:
        """As `encode_support`, computing each loop when it is asked for.

        Raises
        ------
        ValueError
            If there are more rows than positions.
        """
        if y.shape[1] > self.config.max_examples:
            raise ValueError(
                f"Got {y.shape[1]} training rows, but these weights have positions for "
                f"{self.config.max_examples}. Set max_support={self.config.max_examples}."
            )
        order = self._shuffle(y, weights)
        prompt = self._prompt(
            X.gather(1, order[..., None].expand_as(X)),
            self.config.target_scale * y.gather(1, order),
        )
        by_token = None
        if weights is not None:
            by_token = weights.gather(1, order).repeat_interleave(2, 1)

        def by_loop() -> Iterator[LoopMemory]:
            kept: list[KeysValues] = []

            def block(state: Tensor) -> Tensor:
                nonlocal kept
                state, kept = self._passed(state, by_token)
                return state

            for _ in run_loop(block, prompt, n_loops, inject=self._inject):
                yield LoopMemory(kept, [])

        return SupportMemory(n_loops, [], by_loop())

    def predict_queries(
        self,
        X: Tensor,
        memory: SupportMemory,
        opinions: None = None,
        attention: bool = False,
        shown: Sequence[int] | None = None,
    ) -> Generator[Step, Tensor | None, None]:
        """Predict queries (B, q, d) of a remembered support after every loop, or after some.

        ``send(staying)``, a mask (q,), lets the other queries leave the loop.

        Raises
        ------
        ValueError
            If asked for the attention over rows.
        """
        if attention:
            raise ValueError(
                "A causal decoder attends to tokens, two a row, and to the query itself: there is "
                "no attention over rows to show. Use weights such as 'tabular'."
            )
        loops = iter(memory.loops)

        def block(state: Tensor) -> Tensor:
            past = next(loops).loop
            rows = state + self.positions[_n_tokens(past[0])]
            blocks = cast(Iterable[CausalBlock], self.loop)
            for each, keys_values in zip(blocks, past, strict=True):
                rows, _ = each.alone(rows, keys_values)
            return self.norm(rows)

        states = run_loop(block, self._embed(X), memory.n_loops, inject=self._inject)
        staying = None
        shown = shown or range(1, memory.n_loops + 1)
        for loop in range(1, shown[-1] + 1):
            state, staying = states.send(staying), None
            if loop in shown:
                staying = yield Step(self.read_out(state) / self.config.target_scale, None)


def _n_tokens(past: KeysValues) -> Tensor:
    """Tokens that come before a query, (B, 1) or (1,): the number of its position."""
    if past.weights is None:
        return torch.tensor([past.keys.shape[-2]], device=past.keys.device)
    return (past.weights > 0).sum(1, keepdim=True)
