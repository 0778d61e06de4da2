"""Prompts of decoders: raw rows of which every prefix is scored, and sequences of tokens.

As `prompts.PromptStream`, each step is drawn from (seed, step) alone.
"""

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from sklearn_looped.core.device import seeded_generator
from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.model.readout import Target, TokenTarget
from sklearn_looped.learned.priors import Prior
from sklearn_looped.learned.priors.sequences import Language
from sklearn_looped.learned.training.recipe import Recipe


def steps_to_draw(start: int, n_steps: int) -> range:
    """Return the steps whose prompts this process draws: all, or every n-th in one of n workers.

    A `DataLoader` takes a prompt of each worker in turn, so that the order stays.
    """
    worker = get_worker_info()
    if worker is None:
        return range(start, n_steps)
    return range(start + worker.id, n_steps, worker.num_workers)


class PrefixStream(IterableDataset):
    """Prompts for a `CausalNetwork`, in the units of the prior and drawn on its device.

    Yields ``({"X": (B, k + 1, d), "y": (B, k), "n_loops": (B,)}, target of all k + 1 rows)``.
    """

    def __init__(
        self, prior: Prior, recipe: Recipe, start: int, processes: Processes, device: torch.device
    ) -> None:
        self.prior, self.recipe, self.start = prior, recipe, start
        self.processes, self.device = processes, device

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Target]]:
        for step in range(self.start, self.recipe.n_steps):
            generator = seeded_generator(self.recipe.seed, step)
            n_features, n_support, n_loops = self.recipe.draw_sizes(step, generator)
            if self.device.type != "cpu":
                seed = generator.initial_seed()
                generator = torch.Generator(self.device).manual_seed(seed)
            size = (self.recipe.n_tables(n_support), n_support + 1, n_features)
            with self.device:
                X, y = map(self.processes.share, self.prior.sample(generator, *size))
            x = {"X": X, "y": y[:, :-1], "n_loops": torch.full((len(X),), n_loops)}
            yield x, Target.of(y)


class TokenStream(IterableDataset):
    """Sequences of a language for a `LoopedLanguageModel`.

    Yields ``({"y": tokens (B, n - 1), "n_loops": (B,)}, the token behind each)``.
    """

    def __init__(
        self, language: Language, recipe: Recipe, start: int, processes: Processes
    ) -> None:
        self.language, self.recipe, self.start = language, recipe, start
        self.processes = processes

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], TokenTarget]]:
        for step in steps_to_draw(self.start, self.recipe.n_steps):
            generator = seeded_generator(self.recipe.seed, step)
            *_, n_loops = self.recipe.draw_sizes(step, generator)
            n_sequences = self.recipe.n_tables(self.language.length - 1)
            drawn = self.language.sample(generator, n_sequences)
            tokens, counted = map(self.processes.share, drawn[:2])
            x = {"y": tokens[:, :-1], "n_loops": torch.full((len(tokens),), n_loops)}
            yield x, TokenTarget(tokens[:, 1:], counted[:, 1:])
