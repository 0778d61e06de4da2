"""Synthetic languages: facts to store, arithmetic to compute, and facts to combine.

They separate what a language model keeps in its weights from what it does with it (Allen-Zhu and
Li 2024; Ouro, Section 6). Shapes: B sequences, n tokens.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import torch
from torch import Generator, Tensor

from sklearn_looped.core.device import seeded_generator


class Sequences(NamedTuple):
    """Sequences of tokens.

    Attributes
    ----------
    tokens : Tensor of shape (B, n)
    counted : Tensor of shape (B, n)
        1 where a token is to be predicted, else 0.
    difficulty : Tensor of shape (B,)
        What the language calls hard: operations, hops; 1 of all facts.
    """

    tokens: Tensor
    counted: Tensor
    difficulty: Tensor


class Language(Protocol):
    """Anything that draws sequences from a generator."""

    @property
    def n_tokens(self) -> int:
        """Size of the vocabulary."""

    @property
    def length(self) -> int:
        """Tokens of a sequence."""

    def sample(self, generator: Generator, n_sequences: int) -> Sequences:
        """Draw sequences."""


def _answered(questions: Tensor, answers: Tensor, difficulty: Tensor) -> Sequences:
    """Sequences of which only the last token, the answer, is to be predicted."""
    tokens = torch.cat([questions, answers[:, None]], 1)
    counted = torch.zeros(tokens.shape)
    counted[:, -1] = 1
    return Sequences(tokens, counted, difficulty)


@dataclass(frozen=True)
class ModularArithmetic:
    """Mano: trees of sums, differences and products modulo a prime, in prefix notation.

    A sequence is ``... + * 3 5 2 = 3``, padded on the left; the answer alone is predicted. The
    difficulty of a sequence is its number of operations, which is drawn uniformly.

    Parameters
    ----------
    modulus : int, default=7
        The numbers are 0 to modulus - 1; the paper has 23.
    n_operations : int, default=4
        Most operations of a tree; the least is 1.

    References
    ----------
    Z. Allen-Zhu, "Physics of Language Models: Part 4.1", 2025. R.-J. Zhu et al., "Scaling Latent
    Reasoning via Looped Language Models", 2025, Section 6.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.priors.sequences import ModularArithmetic
    >>> language = ModularArithmetic(modulus=5, n_operations=2)
    >>> drawn = language.sample(torch.Generator().manual_seed(0), 1)
    >>> drawn.tokens.shape[1] == language.length
    True
    """

    modulus: int = 7
    n_operations: int = 4

    @property
    def n_tokens(self) -> int:
        """Numbers, three operations, "=" and padding."""
        return self.modulus + 5

    @property
    def length(self) -> int:
        """Tokens of the largest tree, "=" and the answer."""
        return 2 * self.n_operations + 3

    def sample(self, generator: Generator, n_sequences: int) -> Sequences:
        """Draw trees: an operation or, if enough are left for the others, a number."""
        p, most = self.modulus, self.n_operations
        size = (n_sequences, 2 * most + 1)
        numbers = torch.randint(p, size, generator=generator)
        operations = p + torch.randint(3, size, generator=generator)
        wants = torch.rand(size, generator=generator) < 0.5
        drawn = torch.randint(1, most + 1, (n_sequences,), generator=generator)
        left, open_places = drawn.clone(), torch.ones_like(drawn)
        questions = torch.full((n_sequences, 2 * most + 2), p + 4)  # padding
        questions[:, -1] = p + 3  # =
        for place in range(2 * most + 1):
            begun = place >= 2 * (most - drawn)
            # The last open place takes an operation while any is left.
            operates = begun & (left > 0) & (wants[:, place] | (open_places == 1))
            token = torch.where(operates, operations[:, place], numbers[:, place])
            questions[:, place] = torch.where(begun, token, questions[:, place])
            left = left - operates.long()
            open_places = open_places + torch.where(operates, 1, -1) * begun
        return _answered(questions, self.values(questions), drawn)

    def values(self, questions: Tensor) -> Tensor:
        """Evaluate questions (B, n), which end on "=", from right to left on a stack."""
        p = self.modulus
        stack = torch.zeros(len(questions), self.n_operations + 3, dtype=torch.long)
        height = torch.zeros(len(questions), dtype=torch.long)
        for token in questions.flip(1).T:
            first, second = (
                stack.gather(1, (height - k).clamp(min=0)[:, None])[:, 0] for k in (1, 2)
            )
            results = torch.stack([first + second, first - second, first * second], 1) % p
            operates = (token >= p) & (token < p + 3)
            kind = (token - p).clamp(0, 2)[:, None]
            value = torch.where(operates, results.gather(1, kind)[:, 0], token.clamp(max=p - 1))
            height = height - 2 * operates.long()
            kept = stack.gather(1, height[:, None])[:, 0]
            stack.scatter_(1, height[:, None], torch.where(token < p + 3, value, kept)[:, None])
            height = height + (token < p + 3).long()
        return stack[:, 0]


@dataclass(frozen=True)
class Facts:
    """Attributes of people, drawn once: knowledge that nothing but memory can hold.

    A sequence is a name, of `name_length` random letters, and the attributes, each uniform over
    `n_values` and to be predicted.

    Parameters
    ----------
    n_people, n_attributes, n_values : int
    name_length : int, default=4
        Letters of a name, out of 16.
    seed : int, default=0
        Of names and attributes.

    References
    ----------
    Z. Allen-Zhu, Y. Li, "Physics of Language Models: Part 3.3, Knowledge Capacity Scaling Laws",
    2024.

    Examples
    --------
    >>> from sklearn_looped.learned.priors.sequences import Facts
    >>> Facts(n_people=1000, n_attributes=4, n_values=64).n_bits
    24000.0
    """

    n_people: int
    n_attributes: int = 4
    n_values: int = 64
    name_length: int = 4
    seed: int = 0

    N_LETTERS = 16

    def __post_init__(self) -> None:
        if self.n_people > self.N_LETTERS**self.name_length:
            raise ValueError(
                f"Got n_people={self.n_people}, but there are only "
                f"{self.N_LETTERS**self.name_length} names. Raise name_length."
            )

    @property
    def n_tokens(self) -> int:
        """Letters, and values that differ between attributes."""
        return self.N_LETTERS + self.n_attributes * self.n_values

    @property
    def length(self) -> int:
        """Tokens of a name and its attributes."""
        return self.name_length + self.n_attributes

    @property
    def n_bits(self) -> float:
        """Information in all attributes."""
        return self.n_people * self.n_attributes * math.log2(self.n_values)

    @cached_property
    def _people(self) -> Tensor:
        """All sequences, (n_people, length)."""
        generator = seeded_generator(self.seed)
        names = torch.randperm(self.N_LETTERS**self.name_length, generator=generator)
        places = self.N_LETTERS ** torch.arange(self.name_length)
        letters = names[: self.n_people, None] // places % self.N_LETTERS
        size = (self.n_people, self.n_attributes)
        values = torch.randint(self.n_values, size, generator=generator)
        first = self.N_LETTERS + self.n_values * torch.arange(self.n_attributes)
        return torch.cat([letters, first + values], 1)

    def sample(self, generator: Generator, n_sequences: int) -> Sequences:
        """Draw people."""
        return self.of(torch.randint(self.n_people, (n_sequences,), generator=generator))

    def of(self, numbers: Tensor) -> Sequences:
        """Sequences of some people, by number."""
        tokens = self._people[numbers]
        counted = torch.zeros(tokens.shape)
        counted[:, self.name_length :] = 1
        return Sequences(tokens, counted, torch.ones(len(tokens), dtype=torch.long))


@dataclass(frozen=True)
class Relations:
    """Questions of several hops over relations that are drawn once.

    Who is the r2 of the r1 of e? Each relation is a random permutation of the entities. A sequence
    is ``... e r1 r2 a``, padded on the left; the answer alone is predicted. The number of hops is
    drawn uniformly. All questions of one hop are seen in training, and of the others all but a
    share, which are kept for testing: to answer those, facts must be combined.

    Parameters
    ----------
    n_entities, n_relations : int, default=24, 6
    n_hops : int, default=3
        Most hops of a question.
    held_out : float, default=0.3
        Share of the questions of two hops and more that are kept for testing.
    testing : bool, default=False
        Whether to draw the questions that are kept, of two hops and more.
    seed : int, default=0
        Of relations, and of what is kept.

    Examples
    --------
    >>> from sklearn_looped.learned.priors.sequences import Relations
    >>> [len(part) for part in Relations(n_entities=10, n_relations=2, held_out=0.5).questions]
    [20, 20, 40]
    """

    n_entities: int = 24
    n_relations: int = 6
    n_hops: int = 3
    held_out: float = 0.3
    testing: bool = False
    seed: int = 0

    @property
    def n_tokens(self) -> int:
        """Entities, relations and padding."""
        return self.n_entities + self.n_relations + 1

    @property
    def length(self) -> int:
        """Tokens of the longest question and the answer."""
        return self.n_hops + 2

    @cached_property
    def _relations(self) -> Tensor:
        """The entity that each relation leads to, (n_relations, n_entities)."""
        generator = seeded_generator(self.seed)
        shape = (self.n_relations, self.n_entities)
        return torch.rand(shape, generator=generator).argsort(1)

    @property
    def questions(self) -> list[Tensor]:
        """Questions that are drawn, by number of hops, (n_questions, 1 + hops)."""
        return self._questions

    @cached_property
    def _questions(self) -> list[Tensor]:
        """Questions by number of hops, (n_questions, 1 + hops): an entity and relations."""
        generator = seeded_generator(self.seed, 1)
        found = []
        for hops in range(1, self.n_hops + 1):
            ranges = [torch.arange(self.n_entities), *[torch.arange(self.n_relations)] * hops]
            every = torch.cartesian_prod(*ranges)
            order = torch.randperm(len(every), generator=generator)
            n_kept = round(self.held_out * len(every)) if hops > 1 else 0
            found.append(every[order[:n_kept] if self.testing else order[n_kept:]])
        return found

    def sample(self, generator: Generator, n_sequences: int) -> Sequences:
        """Draw questions of training, or of testing."""
        least = 2 if self.testing else 1
        hops = torch.randint(least, self.n_hops + 1, (n_sequences,), generator=generator)
        places = torch.rand(n_sequences, generator=generator)
        tokens = torch.full((n_sequences, self.n_hops + 1), self.n_tokens - 1)
        answers = torch.zeros(n_sequences, dtype=torch.long)
        for count in range(least, self.n_hops + 1):
            here, known = hops == count, self.questions[count - 1]
            asked = known[(places[here] * len(known)).long()]
            entity = asked[:, 0]
            for relation in asked[:, 1:].T:
                entity = self._relations[relation, entity]
            answers[here] = entity
            shifted = asked.clone()
            shifted[:, 1:] += self.n_entities
            tokens[here, -asked.shape[1] :] = shifted
        return _answered(tokens, answers, hops)
