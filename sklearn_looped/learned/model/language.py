"""A looped language model in the form of Ouro: tokens in, tokens out, an exit after every loop.

Shapes: B sequences, n tokens, V different tokens, D width, L loops.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, cast

import torch
from torch import Tensor, nn

from sklearn_looped.core.loop import run_loop
from sklearn_looped.learned.fields import MAX_LOOPS, check_whole
from sklearn_looped.learned.model.blocks import KeysValues, draw_normal
from sklearn_looped.learned.model.causal_block import STD, CausalBlock
from sklearn_looped.learned.model.memory import Step
from sklearn_looped.learned.model.readout import TokenLoss

SHARING = ("full", "last", "first", "average")


@dataclass(frozen=True)
class LanguageConfig:
    """Shape of a `LoopedLanguageModel`; saved with the weights.

    Parameters
    ----------
    n_tokens : int
        V, the size of the vocabulary.
    length : int
        Most tokens of a sequence.
    width : int, default=64
        D, the size of a token's state.
    n_heads : int, default=4
        Attention heads of a block.
    n_loop_blocks : int, default=1
        Different blocks, applied one after another in every loop.
    n_loops : int, default=4
        Loops of a prediction; 1 is the ordinary decoder.
    feed_forward : int, default=4
        Hidden units of a block's feed-forward layer, as a multiple of the width.
    """

    limits: ClassVar = {
        "n_tokens": (2, 2**20), "length": (1, 2**16), "width": (2, 4096), "n_heads": (1, 256),
        "n_loop_blocks": (1, 128), "n_loops": (1, MAX_LOOPS), "feed_forward": (1, 64),
    }  # fmt: skip

    n_tokens: int
    length: int
    width: int = 64
    n_heads: int = 4
    n_loop_blocks: int = 1
    n_loops: int = 4
    feed_forward: int = 4

    def __post_init__(self) -> None:
        check_whole(self, self.limits)
        if self.width % self.n_heads:
            raise ValueError(
                f"Got width={self.width}, but expected a multiple of n_heads={self.n_heads}."
            )

    @property
    def n_blocks(self) -> int:
        """Blocks that have weights of their own."""
        return self.n_loop_blocks

    @property
    def loss(self) -> type[nn.Module]:
        """Log loss of the next token."""
        return TokenLoss

    def build(self) -> "LoopedLanguageModel":
        """Build the model, with random weights from torch's global generator.

        Returns
        -------
        model : LoopedLanguageModel
        """
        return LoopedLanguageModel(self)


class LoopCache(NamedTuple):
    """Keys and values of the tokens so far, as `LoopedLanguageModel.extend` attends to them.

    Attributes
    ----------
    sharing : {"full", "last", "first", "average"}
        "full": each loop attends to what that loop left; the others keep one set for all loops,
        that of the last or first loop or their mean, and take 1 / L of the memory.
    loops : list of list of KeysValues
        A list for each loop, or one for all of them; of a `KeysValues` for each block.
    """

    sharing: str
    loops: list[list[KeysValues]]

    @classmethod
    def of(cls, loops: list[list[KeysValues]], sharing: str) -> "LoopCache":
        """Keep of what every loop left as much as the sharing needs."""
        if sharing not in SHARING:
            raise ValueError(f"Got sharing={sharing!r}, but expected one of {', '.join(SHARING)}.")
        if sharing == "average":
            mean = [
                KeysValues(*(torch.stack(parts).mean(0) for parts in zip(*each, strict=True)))
                for each in zip(*[[kv[:2] for kv in loop] for loop in loops], strict=True)
            ]
            return cls(sharing, [mean])
        return cls(sharing, {"full": loops, "last": loops[-1:], "first": loops[:1]}[sharing])

    @property
    def n_tokens(self) -> int:
        """Tokens so far."""
        return self.loops[0][0].keys.shape[-2]

    @property
    def n_bytes(self) -> int:
        """Memory of keys and values."""
        kept = (part for loop in self.loops for kv in loop for part in kv[:2])
        return sum(part.numel() * part.element_size() for part in kept)

    def at(self, loop: int) -> list[KeysValues]:
        """Give what a loop, counted from 0, attends to."""
        return self.loops[min(loop, len(self.loops) - 1)]

    def joined(self, new: "LoopCache") -> "LoopCache":
        """Append the keys and values of later tokens."""
        loops = [
            [KeysValues(torch.cat([a.keys, b.keys], 2), torch.cat([a.values, b.values], 2))
             for a, b in zip(*pair, strict=True)]
            for pair in zip(self.loops, new.loops, strict=True)
        ]  # fmt: skip
        return LoopCache(self.sharing, loops)


class LoopedLanguageModel(nn.Module):
    r"""Ouro in small: :math:`F^{(t)} = \mathrm{head} \circ M^t \circ \mathrm{emb}`, and a gate.

    The blocks M are applied to their own output without injection and share their weights over
    loops; after each loop the head predicts the next token and the gate says whether to leave,
    :math:`\lambda_t = \sigma(w^\top h_t + b)`. Blocks are GPT-2's with learned positions, where
    Ouro has rotary positions, gated units and norms behind the layers too.

    Parameters
    ----------
    config : LanguageConfig
        The shape. Weights are initialised from torch's global generator.

    References
    ----------
    R.-J. Zhu et al., "Scaling Latent Reasoning via Looped Language Models", 2025, Section 3.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.model.language import LanguageConfig, LoopedLanguageModel
    >>> model = LoopedLanguageModel(LanguageConfig(n_tokens=10, length=6, width=8, n_heads=2))
    >>> step = model.trajectory(torch.zeros(1, 5, dtype=torch.long), n_loops=3)
    >>> step.output.shape, step.exit.shape
    (torch.Size([3, 1, 5, 10]), torch.Size([3, 1, 5]))
    """

    def __init__(self, config: LanguageConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.n_tokens, config.width)
        self.positions = nn.Parameter(torch.empty(config.length, config.width))
        self.loop = nn.ModuleList(
            CausalBlock(config.width, config.n_heads, config.feed_forward, config.n_loop_blocks)
            for _ in range(config.n_loop_blocks)
        )
        self.norm = nn.LayerNorm(config.width)
        self.gate = nn.Linear(config.width, 1)
        draw_normal(self.embedding.weight, STD)
        draw_normal(self.positions, STD)
        nn.init.zeros_(self.gate.weight)
        nn.init.zeros_(self.gate.bias)

    def matrices(self) -> list[nn.Parameter]:
        """Matrices of the blocks, which Muon moves if the recipe asks for it."""
        return [p for p in self.loop.parameters() if p.ndim == 2]

    def _read_out(self, states: Tensor) -> Step:
        """Logits of the next token, by the embedding itself, and of leaving."""
        states = self.norm(states)
        return Step(states @ self.embedding.weight.T, self.gate(states).squeeze(-1))

    def _embed(self, tokens: Tensor, start: int = 0) -> Tensor:
        end = start + tokens.shape[1]
        if end > self.config.length:
            raise ValueError(
                f"Got a sequence of {end} tokens, but the model has positions for "
                f"{self.config.length}. Shorten it or raise length."
            )
        return self.embedding(tokens) + self.positions[start:end]

    def _passed(self, state: Tensor) -> tuple[Tensor, list[KeysValues]]:
        """One pass of the loop over whole sequences, and what it leaves for later tokens."""
        kept = []
        for each in self.loop:
            state, keys_values = each(state)
            kept.append(keys_values)
        return state, kept

    def forward(
        self, tokens: Tensor, n_loops: int, window: int = 1, n_grad_loops: int | None = None
    ) -> Tensor:
        """Predict the token behind every token after the last loops, (min(window, L), B, n, V)."""
        states = run_loop(
            lambda state: self._passed(state)[0], self._embed(tokens), n_loops,
            window=window, n_grad_loops=n_grad_loops,
        )  # fmt: skip
        return torch.stack([self._read_out(state).output for state in states])

    def trajectory(self, tokens: Tensor, n_loops: int) -> Step:
        """Predict the token behind every token, after every loop.

        Parameters
        ----------
        tokens : Tensor of shape (B, n)
        n_loops : int

        Returns
        -------
        Step
            Logits (L, B, n, V), and those of the gate (L, B, n).
        """
        return self.read(tokens, n_loops)[0]

    def read(self, tokens: Tensor, n_loops: int, sharing: str = "full") -> tuple[Step, LoopCache]:
        """As `trajectory`; returns the cache of the tokens too.

        The tokens see one another in every loop by what that loop left, however the cache is
        shared: Ouro shares it only while tokens are appended.
        """
        kept: list[list[KeysValues]] = []

        def block(state: Tensor) -> Tensor:
            state, left = self._passed(state)
            kept.append(left)
            return state

        states = torch.stack(list(run_loop(block, self._embed(tokens), n_loops)))
        return self._read_out(states), LoopCache.of(kept, sharing)

    def extend(self, tokens: Tensor, cache: LoopCache, n_loops: int) -> tuple[Step, LoopCache]:
        """Append one token to each sequence.

        Parameters
        ----------
        tokens : Tensor of shape (B, 1)
        cache : LoopCache
            Of the tokens before; a full one of as many loops.
        n_loops : int

        Returns
        -------
        step : Step
            Logits (L, B, 1, V) of the token behind it, and those of the gate (L, B, 1).
        cache : LoopCache
            With the token.
        """
        kept: list[list[KeysValues]] = []

        def block(state: Tensor) -> Tensor:
            past = cache.at(len(kept))
            kept.append([])
            blocks = cast(Iterable[CausalBlock], self.loop)
            for each, keys_values in zip(blocks, past, strict=True):
                state, own = each.alone(state, keys_values)
                kept[-1].append(own)
            return state

        states = list(run_loop(block, self._embed(tokens, cache.n_tokens), n_loops))
        new = LoopCache.of(kept, cache.sharing)
        return self._read_out(torch.stack(states)), cache.joined(new)
