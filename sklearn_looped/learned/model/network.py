"""The looped network: read-in -> (pre) -> loop -> (post) -> readout.

Shapes: B tables, n rows of which the first s are the support and q = n - s are queries, d columns,
D width.
"""

import math
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_looped.core.loop import run_loop
from sklearn_looped.learned.fields import MAX_LOOPS, MAX_VIEWS, check_flags, check_whole
from sklearn_looped.learned.model.blocks import Block, KeysValues
from sklearn_looped.learned.model.memory import SupportMemory
from sklearn_looped.learned.model.opinions import N_OPINION_FEATURES, Opinions, opinion_features
from sklearn_looped.learned.model.readout import (
    DistributionLoss,
    ExitGate,
    ExpertReadout,
    LogLoss,
    Readout,
)

CLIP = 8.0  # standard deviations: beyond this a cell or target is an outlier, not information
# What a configuration may ask for, also one that comes with a file.
LIMITS = {
    "n_features": (1, 4096), "width": (2, 4096), "n_heads": (1, 256), "n_loop_blocks": (1, 128),
    "n_pre_blocks": (0, 128), "n_post_blocks": (0, 128), "n_loops": (1, MAX_LOOPS),
    "n_quantiles": (0, 10_000), "n_gate_units": (0, 4096), "n_views": (1, MAX_VIEWS),
    "feed_forward": (1, 64), "n_bases": (0, 256),
}  # fmt: skip


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a `LoopedNetwork`; saved with the weights. `LIMITS` bounds every number.

    Parameters
    ----------
    n_features : int, default=32
        Columns of the read-in; narrower tables are padded with zeros.
    width : int, default=256
        D, the size of a token.
    n_heads : int, default=8
        Attention heads of a block.
    n_pre_blocks, n_loop_blocks, n_post_blocks : int, default=0, 1, 0
        Blocks before, in and after the loop; `PRESETS` holds those of the papers.
    n_loops : int, default=8
        Loops a prediction takes unless told otherwise.
    n_quantiles : int, default=31
        Quantiles the readout predicts beside the mean; 0: it predicts the log odds of two labels.
    injection : bool, default=True
        Whether the prompt is added to the normalised state before every pass. False: weight tying.
    n_gate_units : int, default=0
        Hidden units of the exit gate; 0: no gate.
    n_views : int, default=4
        Views of a table (`views.VIEWS`) that an estimator averages unless told otherwise.
    centre : bool, default=True
        Whether canonical form takes the means off columns and target (`Standardiser`). False is
        for function classes that have their zero points in common, such as lines through the
        origin.
    experts : bool, default=False
        Whether tokens carry what closed-form experts say of their rows (`experts.Opinions`). The
        prediction is then the experts' plus the network's correction.
    feed_forward : int, default=4
        Hidden units of a block's feed-forward layer, as a multiple of the width.
    n_bases : int, default=0
        Radial basis functions of each cell in the read-in, beside the cell itself.
    """

    n_features: int = 32
    width: int = 256
    n_heads: int = 8
    n_pre_blocks: int = 0
    n_loop_blocks: int = 1
    n_post_blocks: int = 0
    n_loops: int = 8
    n_quantiles: int = 31
    injection: bool = True
    n_gate_units: int = 0
    n_views: int = 4
    centre: bool = True
    experts: bool = False
    feed_forward: int = 4
    n_bases: int = 0

    def __post_init__(self) -> None:
        check_whole(self, LIMITS)
        check_flags(self, ("injection", "centre", "experts"))
        if self.width % self.n_heads:
            raise ValueError(
                f"Got width={self.width}, but expected a multiple of n_heads={self.n_heads}."
            )

    @property
    def classifies(self) -> bool:
        """Whether the network tells two labels apart rather than predict a number."""
        return self.n_quantiles == 0

    @property
    def loss(self) -> type[nn.Module]:
        """Loss of the readout."""
        return LogLoss if self.classifies else DistributionLoss

    def build(self) -> "LoopedNetwork":
        """Network with random weights, from torch's global generator."""
        return LoopedNetwork(self)


# Architectures by name; ``replace(PRESETS["algoformer"], width=64)`` gives one another size.
PRESETS = {
    "looped": NetworkConfig(),  # Yang et al. 2024: the loop alone
    "algoformer": NetworkConfig(n_pre_blocks=1, n_post_blocks=1),  # Gao et al. 2024
    "unlooped": NetworkConfig(n_pre_blocks=11, n_loops=1),  # the 12 layers both compare with
}


class Step(NamedTuple):
    """What is known of queries after one loop.

    Attributes
    ----------
    output : Tensor of shape (B, q, 1 + n_quantiles)
        The readout.
    exit : Tensor of shape (B, q) or None
        The gate's logit that the loop ends here; None: the network has no gate.
    """

    output: Tensor
    exit: Tensor | None


def _pass_and_keep(
    blocks: nn.ModuleList, rows: Tensor, n_support: int, weights: Tensor | None = None
) -> tuple[Tensor, list[KeysValues]]:
    """Pass rows, the support first, through blocks; return them and the support's memory."""
    memory = []
    for block in cast(Iterable[Block], blocks):
        memory.append(block.keys_values(rows[:, :n_support], weights))
        rows = block(rows, memory[-1])
    return rows, memory


def _pass_queries(blocks: nn.ModuleList, rows: Tensor, memory: list[KeysValues]) -> Tensor:
    """Pass queries through blocks, attending to a remembered support."""
    for block, keys_values in zip(blocks, memory, strict=True):
        rows = block(rows, keys_values)
    return rows


class LoopedNetwork(nn.Module):
    """A looped transformer over the rows of a table, one token a row.

    The network of Yang et al. 2024 with set attention: a support row is its features plus its
    target, a query its features alone; every row attends to the support rows; one block is
    applied again and again with the prompt added to the normalised state. Inputs and outputs are
    in the canonical form of `Standardiser`.

    Parameters
    ----------
    config : NetworkConfig
        The shape. Weights are initialised from torch's global generator.

    References
    ----------
    L. Yang, K. Lee, R. Nowak, D. Papailiopoulos, "Looped Transformers are Better at Learning
    Learning Algorithms", ICLR 2024. Y. Gao et al., "AlgoFormer", TMLR 2025.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.model.network import LoopedNetwork, NetworkConfig
    >>> network = LoopedNetwork(NetworkConfig(n_features=4, width=16, n_heads=2))
    >>> network(torch.zeros(1, 7, 3), torch.zeros(1, 5), n_loops=2).shape
    torch.Size([1, 1, 2, 32])
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        n_channels = 3 + config.experts + config.n_bases
        self.embed_features = nn.Linear(n_channels * config.n_features, config.width, bias=False)
        self.embed_target = nn.Linear(2, config.width)
        self.embed_opinions = (
            nn.Linear(N_OPINION_FEATURES, config.width, bias=False) if config.experts else None
        )
        self.state_norm = nn.LayerNorm(config.width, bias=False)
        self.pre, self.loop, self.post = (
            nn.ModuleList(
                Block(config.width, config.n_heads, config.feed_forward) for _ in range(n_blocks)
            )
            for n_blocks in (config.n_pre_blocks, config.n_loop_blocks, config.n_post_blocks)
        )
        readout = ExpertReadout if config.experts else Readout
        self.readout = readout(config.width, config.n_quantiles)
        self.gate = ExitGate(config.width, config.n_gate_units) if config.n_gate_units else None

    def matrices(self) -> list[nn.Parameter]:
        """Matrices of the blocks, which meta-training moves by Muon."""
        blocks = nn.ModuleList([self.pre, self.loop, self.post])
        return [p for p in blocks.parameters() if p.ndim == 2]

    def _read_in(self, X: Tensor, opinions: Opinions | None) -> Tensor:
        """Embed rows, (B, n, d) -> (B, n, D); NaN marks a missing cell."""
        n_features, d = self.config.n_features, X.shape[-1]
        missing = X.isnan()
        cells = torch.where(missing, 0, X).clamp(-CLIP, CLIP)
        channels = [cells, torch.tanh(cells), missing.to(X.dtype)]
        if opinions is not None:
            channels.append(cells * opinions.gate[:, None])
        if self.config.n_bases:
            centres = torch.linspace(-2, 2, self.config.n_bases, dtype=X.dtype, device=X.device)
            bumps = torch.exp(-2 * (cells[..., None] - centres).square()) * ~missing[..., None]
            channels += bumps.unbind(-1)
        stacked = torch.stack(channels, -2)  # (B, n, n_channels, d)
        # The root keeps the token's size the same for one column and for all of them.
        padded = F.pad(stacked * math.sqrt(n_features / d), (0, n_features - d))
        return self.embed_features(padded.flatten(-2))

    def _prompt(self, X: Tensor, y: Tensor, opinions: Opinions | None) -> Tensor:
        """Tokens (B, n, D) of a table: the target is added on the first s rows."""
        rows = self._read_in(X, opinions)
        if opinions is not None and self.embed_opinions is not None:
            rows = rows + self.embed_opinions(opinion_features(opinions, y))
        if not y.shape[1]:
            return rows
        y = y.clamp(-CLIP, CLIP)
        target = self.embed_target(torch.stack([y, torch.tanh(y)], -1))  # (B, s, D)
        return rows + F.pad(target, (0, 0, 0, X.shape[1] - y.shape[1]))

    def _read_out(self, state: Tensor, opinions: Opinions | None) -> Tensor:
        """Predictions (B, q, 1 + n_quantiles) from the queries' last state."""
        if opinions is None:
            return self.readout(state)
        return self.readout(state, opinions)

    def _inject(self, state: Tensor, prompt: Tensor) -> Tensor:
        """Input injection with a norm on the state, which keeps it bounded over many loops."""
        return self.state_norm(state) + prompt

    def forward(
        self,
        X: Tensor,
        y: Tensor,
        n_loops: int,
        window: int = 1,
        n_grad_loops: int | None = None,
        opinions: Opinions | None = None,
    ) -> Tensor:
        """Predict the queries of a batch of tables, as meta-training does.

        Parameters
        ----------
        X : Tensor of shape (B, n, d)
            Features in canonical form, the support first.
        y : Tensor of shape (B, s)
            Targets of the support in canonical form.
        n_loops : int
            b of Yang et al., Eq. 1.
        window : int, default=1
            T of Eq. 1: the last loops, of which the predictions are returned.
        n_grad_loops : int, default=None
            Gradients flow through the last loops only (truncated backpropagation through time,
            as in the paper's code). None: through all.
        opinions : Opinions, default=None
            What the experts say of the n rows, if the network listens to them.

        Returns
        -------
        Tensor of shape (min(window, n_loops), B, q, 1 + n_quantiles)
        """
        n_support = y.shape[1]
        prompt, _ = _pass_and_keep(self.pre, self._prompt(X, y, opinions), n_support)
        asked = None if opinions is None else opinions.rows(slice(n_support, None))
        inject = self._inject if self.config.injection else None

        def block(state: Tensor) -> Tensor:
            return _pass_and_keep(self.loop, state, n_support)[0]

        n_frozen = max(0, n_loops - (n_grad_loops or n_loops))
        state: Tensor | None = None
        if n_frozen:
            with torch.no_grad():
                *_, state = run_loop(block, prompt, n_frozen, inject=inject)
        outputs = []
        states = run_loop(block, prompt, n_loops - n_frozen, state=state, inject=inject)
        for loop, rows in enumerate(states, n_frozen + 1):
            if loop > n_loops - window:
                final, _ = _pass_and_keep(self.post, rows, n_support)
                outputs.append(self._read_out(final[:, n_support:], asked))
        return torch.stack(outputs)

    def trajectory(
        self, X: Tensor, y: Tensor, n_loops: int, opinions: Opinions | None = None
    ) -> Step:
        """Predict the queries of a batch of tables after every loop, with the gate's logits.

        As `forward` with a window of all loops; the results have a first dimension more.
        """
        known = asked = None
        if opinions is not None:
            known, asked = (
                opinions.rows(part) for part in (slice(y.shape[1]), slice(y.shape[1], None))
            )
        memory = self.encode_support(X[:, : y.shape[1]], y, n_loops, opinions=known)
        steps = list(self.predict_queries(X[:, y.shape[1] :], memory, asked))
        exits = [step.exit for step in steps if step.exit is not None]
        return Step(torch.stack([step.output for step in steps]), torch.stack(exits))

    def encode_support(
        self,
        X: Tensor,
        y: Tensor,
        n_loops: int,
        weights: Tensor | None = None,
        opinions: Opinions | None = None,
    ) -> SupportMemory:
        """Run the support alone and keep its keys and values at every loop.

        Exact, because support rows never attend to queries. Shapes as in `forward`, with n = s;
        a row of weight w, (B, s), counts as w rows.
        """
        pre, loops, post = self.stream_support(X, y, n_loops, weights, opinions)
        kept = list(zip(post, loops, strict=False))  # `post` goes first
        return SupportMemory(pre, [loop for _, loop in kept], [after for after, _ in kept])

    def stream_support(
        self,
        X: Tensor,
        y: Tensor,
        n_loops: int,
        weights: Tensor | None = None,
        opinions: Opinions | None = None,
    ) -> SupportMemory:
        """As `encode_support`, for one pass of queries that keeps no loop but the last.

        The memory's `loops` and `post` are iterators: a loop is computed when `post` is asked.
        """
        n_support = y.shape[1]
        prompt, pre = _pass_and_keep(self.pre, self._prompt(X, y, opinions), n_support, weights)
        last: deque[list[KeysValues]] = deque(maxlen=1)

        def block(state: Tensor) -> Tensor:
            state, kept = _pass_and_keep(self.loop, state, n_support, weights)
            last.append(kept)
            return state

        inject = self._inject if self.config.injection else None
        states = run_loop(block, prompt, n_loops, inject=inject)
        post = (_pass_and_keep(self.post, state, n_support, weights)[1] for state in states)
        return SupportMemory(pre, iter(last.pop, None), post)

    def predict_queries(
        self, X: Tensor, memory: SupportMemory, opinions: Opinions | None = None
    ) -> Generator[Step, Tensor | None, None]:
        """Yield what is known of queries (B, q, d) after every loop.

        ``send(staying)``, a mask (q,), lets the other queries leave the loop: what follows is
        computed and yielded for those that stay.
        """
        prompt = _pass_queries(self.pre, self._prompt(X, X[:, :0, 0], opinions), memory.pre)
        keys_values = iter(memory.loops)  # the support's part of each loop, computed before

        def block(state: Tensor) -> Tensor:
            return _pass_queries(self.loop, state, next(keys_values))

        inject = self._inject if self.config.injection else None
        state: Tensor | None = None
        last: Tensor | None = None
        for loop, post in enumerate(memory.post, 1):
            [state] = run_loop(block, prompt, 1, state=state, inject=inject)
            output = self._read_out(_pass_queries(self.post, state, post), opinions)
            staying = yield Step(output, self._exit(state, output, last, loop))
            last = output
            if staying is not None:
                prompt, state, last = (rows[:, staying] for rows in (prompt, state, last))
                opinions = None if opinions is None else opinions.rows(staying)

    def attention_by_loop(
        self, X: Tensor, memory: SupportMemory, opinions: Opinions | None = None
    ) -> Iterator[Tensor]:
        """Yield for every loop the weights (B, h, q, s) of queries (B, q, d) on the support.

        They are those of `predict_queries`, which does not keep them; of several blocks in the
        loop the heads come one block after another.
        """
        prompt = _pass_queries(self.pre, self._prompt(X, X[:, :0, 0], opinions), memory.pre)
        keys_values = iter(memory.loops)
        weights: list[Tensor] = []

        def block(state: Tensor) -> Tensor:
            weights.clear()
            for part, support in zip(
                cast(Iterable[Block], self.loop), next(keys_values), strict=True
            ):
                weights.append(part.attention(state, support))
                state = part(state, support)
            return state

        inject = self._inject if self.config.injection else None
        for _ in run_loop(block, prompt, len(list(memory.post)), inject=inject):
            yield torch.cat(weights, 1)

    def _exit(self, state: Tensor, output: Tensor, last: Tensor | None, loop: int) -> Tensor | None:
        """Logit (B, q) that the loop ends here, if the network has a gate."""
        if self.gate is None:
            return None
        last = torch.zeros_like(output) if last is None else last
        return self.gate(self.state_norm(state), output, last, loop / self.config.n_loops)
