"""The looped network: read-in -> (pre) -> loop -> (post) -> readout.

Shapes: B tables, n rows of which the first s are the support and q = n - s are queries, d columns,
D width.
"""

from collections.abc import Generator, Iterator, Sequence
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sklearn_looped.core.loop import Body, run_loop
from sklearn_looped.learned.model.blocks import Block, KeysValues, pass_and_keep, pass_queries
from sklearn_looped.learned.model.class_opinions import (
    N_CLASS_FEATURES,
    ClassOpinions,
    class_left_over,
    class_left_over_features,
    class_opinion_features,
)
from sklearn_looped.learned.model.class_readout import ClassReadout, Votes
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.memory import LoopMemory, Step, SupportMemory
from sklearn_looped.learned.model.opinions import N_OPINION_FEATURES, Opinions, opinion_features
from sklearn_looped.learned.model.readout import ExitGate, ExpertReadout, Readout
from sklearn_looped.learned.model.tokens import (
    CLIP,
    N_CHANNELS,
    N_LEFT_OVER,
    cell_features,
    left_over_features,
)

AnyOpinions: TypeAlias = Opinions | ClassOpinions


class LoopedNetwork(nn.Module):
    """A looped transformer over the rows of a table, one token a row.

    The network of Yang et al. 2024 with set attention: a support row is its features plus its
    target, a query its features alone; every row attends to the support rows; one block is
    applied again and again with the prompt added to the normalised state. Inputs and outputs are
    in the canonical form of `Standardiser`.

    With feedback the token of a support row leaves its target out, as a query's does, and the row
    does not attend to itself. After every loop the readout predicts it, so far without its target,
    and what is left over joins the target in its keys and values: each loop sees the errors of the
    one before. From the second loop on the predictions are no strict leave-one-out any more, since
    the other rows have seen the target.

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
    >>> from sklearn_looped.learned.model.config import NetworkConfig
    >>> from sklearn_looped.learned.model.network import LoopedNetwork
    >>> network = LoopedNetwork(NetworkConfig(n_features=4, width=16, n_heads=2))
    >>> network(torch.zeros(1, 7, 3), torch.zeros(1, 5), n_loops=2).shape
    torch.Size([1, 1, 2, 32])
    """

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        n_channels = N_CHANNELS + config.experts + config.n_bases
        self.embed_features = nn.Linear(n_channels * config.n_features, width, bias=False)
        self.embed_target = nn.Linear(config.n_classes or 2, width)
        n_opinions = N_CLASS_FEATURES if config.classifies else N_OPINION_FEATURES
        self.embed_opinions = nn.Linear(n_opinions, width, bias=False) if config.experts else None
        n_left = config.n_classes + 2 if config.classifies else N_LEFT_OVER
        self.embed_left_over = nn.Linear(n_left, width, bias=False) if config.feedback else None
        self.state_norm = nn.LayerNorm(width, bias=False)
        self.pre, self.loop, self.post = (
            nn.ModuleList(
                Block(width, config.n_heads, config.feed_forward) for _ in range(n_blocks)
            )
            for n_blocks in (config.n_pre_blocks, config.n_loop_blocks, config.n_post_blocks)
        )
        self.votes = Votes(width, config.n_heads) if config.votes else None
        if config.votes:
            self.readout: Any = ClassReadout(width, config.n_heads)
        else:
            readout = ExpertReadout if config.experts else Readout
            self.readout = readout(width, config.n_outputs)
        self.gate = ExitGate(width, config.n_gate_units) if config.n_gate_units else None

    def matrices(self) -> list[nn.Parameter]:
        """Matrices of the blocks, which meta-training moves by Muon."""
        blocks = nn.ModuleList([self.pre, self.loop, self.post, *filter(None, [self.votes])])
        return [p for p in blocks.parameters() if p.ndim == 2]

    def _read_in(self, X: Tensor, opinions: AnyOpinions | None) -> Tensor:
        """Embed rows, (B, n, d) -> (B, n, D); NaN marks a missing cell."""
        gate = None if opinions is None else opinions.gate
        config = self.config
        return self.embed_features(cell_features(X, config.n_features, config.n_bases, gate))

    def _prompt(self, X: Tensor, y: Tensor, opinions: AnyOpinions | None) -> Tensor:
        """Tokens (B, n, D) of a table: the target is added on the first s rows."""
        rows = self._read_in(X, opinions)
        if opinions is not None and self.embed_opinions is not None:
            if isinstance(opinions, ClassOpinions):
                features = class_opinion_features(opinions)
            else:
                features = opinion_features(opinions, y[:, :0] if self.config.feedback else y)
            rows = rows + self.embed_opinions(features)
        if not y.shape[1] or self.config.feedback:
            return rows
        return rows + F.pad(self._embed(y), (0, 0, 0, X.shape[1] - y.shape[1]))

    def _embed(self, y: Tensor) -> Tensor:
        """Embed targets, or codes of classes, (B, s) -> (B, s, D)."""
        if self.config.classifies:
            return self.embed_target(F.one_hot(y.long(), self.config.n_classes).to(y))
        y = y.clamp(-CLIP, CLIP)
        return self.embed_target(torch.stack([y, torch.tanh(y)], -1))

    def _left_out(
        self,
        y: Tensor,
        opinions: AnyOpinions | None,
        state: Tensor | None = None,
        voters: KeysValues | None = None,
    ) -> Tensor | None:
        """Predict the support rows, (B, s, n_outputs), from the last `state` (B, n, D).

        None: there is no feedback. Before the first loop these are the experts' predictions.
        """
        if not self.config.feedback:
            return None
        known = None if opinions is None else opinions.rows(slice(y.shape[1]))
        if state is None:
            return y.new_zeros(*y.shape, 1) if known is None else self.readout.alone(known)
        return self._read_out(state[:, : y.shape[1]], known, voters, 0)

    def _feedback(
        self, y: Tensor, opinions: AnyOpinions | None, found: Tensor | None
    ) -> Tensor | None:
        """Embed targets of the support and the residuals of `_left_out`, (B, s, D)."""
        if self.embed_left_over is None or found is None:
            return None
        if isinstance(opinions, ClassOpinions):
            features = class_left_over_features(found, y)
        else:
            unit = torch.ones_like(y[:, :1]) if opinions is None else opinions.unit()[:, None]
            features = left_over_features(y - found[..., 0], unit)
        return self._embed(y) + self.embed_left_over(features)

    def _voters(
        self, y: Tensor, opinions: AnyOpinions | None, state: Tensor, weights: Tensor | None = None
    ) -> KeysValues | None:
        """Support rows that vote on classes, from their state (B, s, D); None: they do not."""
        if self.votes is None or not isinstance(opinions, ClassOpinions):
            return None
        pool = opinions.rows(slice(y.shape[1])).pool()
        return self.votes.keys_values(state, class_left_over(pool, y), weights)

    def _read_out(
        self,
        state: Tensor,
        opinions: AnyOpinions | None,
        voters: KeysValues | None,
        left_out: int | None = None,
    ) -> Tensor:
        """Predictions (B, q, n_outputs) from the last state of rows, `left_out` as in `Block`."""
        known: list[Any] = [] if opinions is None else [opinions]
        if self.votes is not None and voters is not None:
            known.append(self.votes(state, voters, left_out))
        return self.readout(state, *known)

    def _inject(self, state: Tensor, prompt: Tensor) -> Tensor:
        """Input injection with a norm on the state, which keeps it bounded over many loops."""
        return self.state_norm(state) + prompt

    def _loop(
        self, block: Body, prompt: Tensor, n_loops: int, **options: Any
    ) -> Generator[Tensor, Tensor | None, None]:
        inject = self._inject if self.config.injection else None
        return run_loop(block, prompt, n_loops, inject=inject, **options)

    def forward(
        self,
        X: Tensor,
        y: Tensor,
        n_loops: int,
        window: int = 1,
        n_grad_loops: int | None = None,
        opinions: AnyOpinions | None = None,
    ) -> Tensor:
        """Predict the queries of a batch of tables, as meta-training does.

        Parameters
        ----------
        X : Tensor of shape (B, n, d)
            Features in canonical form, the support first.
        y : Tensor of shape (B, s)
            Targets of the support in canonical form, or codes of classes.
        n_loops : int
            b of Yang et al., Eq. 1.
        window : int, default=1
            T of Eq. 1: the last loops, of which the predictions are returned.
        n_grad_loops : int, default=None
            Gradients flow through the last loops only (truncated backpropagation through time,
            as in the paper's code). None: through all.
        opinions : Opinions, default=None
            The experts' predictions for the n rows; for networks with experts.

        Returns
        -------
        Tensor of shape (min(window, n_loops), B, q, n_outputs)
        """
        n_support = y.shape[1]
        prompt, _ = pass_and_keep(self.pre, self._prompt(X, y, opinions), n_support)
        asked = None if opinions is None else opinions.rows(slice(n_support, None))
        last: Tensor | None = None

        def block(state: Tensor) -> Tensor:
            nonlocal last
            voters = None if last is None else self._voters(y, opinions, last[:, :n_support])
            added = self._feedback(y, opinions, self._left_out(y, opinions, last, voters))
            last, _ = pass_and_keep(self.loop, state, n_support, added=added)
            return last

        outputs = []
        for state in self._loop(block, prompt, n_loops, window=window, n_grad_loops=n_grad_loops):
            final, _ = pass_and_keep(self.post, state, n_support)
            voters = self._voters(y, opinions, final[:, :n_support])
            outputs.append(self._read_out(final[:, n_support:], asked, voters))
        return torch.stack(outputs)

    def trajectory(
        self, X: Tensor, y: Tensor, n_loops: int, opinions: AnyOpinions | None = None
    ) -> Step:
        """Predict the queries of a batch of tables after every loop, with the gate's logits.

        As `forward` with a window of all loops; the results have a first dimension more.
        """
        parts = slice(y.shape[1]), slice(y.shape[1], None)
        known, asked = (None if opinions is None else opinions.rows(part) for part in parts)
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
        opinions: AnyOpinions | None = None,
    ) -> SupportMemory:
        """Run the support alone and keep its keys and values at every loop.

        Exact, because support rows never attend to queries. Shapes as in `forward`, with n = s;
        a row of weight w, (B, s), counts as w rows.
        """
        memory = self.stream_support(X, y, n_loops, weights, opinions)
        return memory._replace(loops=list(memory.loops))

    def stream_support(
        self,
        X: Tensor,
        y: Tensor,
        n_loops: int,
        weights: Tensor | None = None,
        opinions: AnyOpinions | None = None,
    ) -> SupportMemory:
        """As `encode_support`, for one pass of queries that keeps no loop but the last.

        The memory's `loops` are an iterator, which computes each when it is asked for.
        """
        n_support = y.shape[1]
        prompt = self._prompt(X, y, opinions)
        prompt, pre = pass_and_keep(self.pre, prompt, n_support, weights)

        def by_loop() -> Iterator[LoopMemory]:
            kept: list[KeysValues] = []
            found = self._left_out(y, opinions)

            def block(state: Tensor) -> Tensor:
                nonlocal kept
                added = self._feedback(y, opinions, found)
                state, kept = pass_and_keep(self.loop, state, n_support, weights, added)
                return state

            for state in self._loop(block, prompt, n_loops):
                final, post = pass_and_keep(self.post, state, n_support, weights)
                voters = self._voters(y, opinions, final, weights)
                found = self._left_out(y, opinions, final, voters)
                yield LoopMemory(kept, post, voters, None if self.config.classifies else found)

        return SupportMemory(n_loops, pre, by_loop())

    def predict_queries(
        self,
        X: Tensor,
        memory: SupportMemory,
        opinions: AnyOpinions | None = None,
        attention: bool = False,
        shown: Sequence[int] | None = None,
    ) -> Generator[Step, Tensor | None, None]:
        """Predict queries (B, q, d) of a remembered support after every loop.

        With `shown`, numbers of loops in rising order, after these only and without the gate.
        ``send(staying)``, a mask (q,), lets the other queries leave the loop: what follows is
        computed and yielded for those that stay. With `attention` each step holds its weights.
        """
        prompt = pass_queries(self.pre, self._prompt(X, X[:, :0, 0], opinions), memory.pre)
        loops = iter(memory.loops)
        kept = LoopMemory([], [])
        weights: list[Tensor] | None = None
        last: Tensor | None = None
        staying: Tensor | None = None

        def block(state: Tensor) -> Tensor:
            nonlocal kept, weights
            weights = [] if attention else None
            kept = next(loops)
            return pass_queries(self.loop, state, kept.loop, weights)

        states = self._loop(block, prompt, memory.n_loops)
        every, shown = shown is None, shown or range(1, memory.n_loops + 1)
        for loop in range(1, shown[-1] + 1):
            state, staying = states.send(staying), None
            if loop not in shown:
                continue
            output = self._read_out(pass_queries(self.post, state, kept.post), opinions, kept.votes)
            end = None
            if self.gate is not None and every:
                before = torch.zeros_like(output) if last is None else last
                end = self.gate(self.state_norm(state), output, before, loop / self.config.n_loops)
            seen = torch.cat(weights, 1) if weights else None
            staying = yield Step(output, end, seen, kept.left_out)
            last = output
            if staying is not None:
                last = output[:, staying]
                opinions = None if opinions is None else opinions.rows(staying)
