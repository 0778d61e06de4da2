"""The prompts of a meta-training run: tables of a prior in canonical form, split into two."""

from collections.abc import Iterator

import torch
from torch import Generator, Tensor
from torch.utils.data import IterableDataset

from sklearn_looped.core.device import seeded_generator
from sklearn_looped.core.kernel_machine import LENGTHS, Search
from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.inference.experts import STEPS, Experts, silenced
from sklearn_looped.learned.inference.standardise import Standardiser
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.opinions import N_EXPERTS
from sklearn_looped.learned.model.readout import Target
from sklearn_looped.learned.model.tokens import CLIP
from sklearn_looped.learned.priors import FixedColumns, KnowsSignal, Prior
from sklearn_looped.learned.priors.mechanisms import integer
from sklearn_looped.learned.training.class_prompts import codes_of, met, read_classes
from sklearn_looped.learned.training.recipe import Recipe
from sklearn_looped.learned.training.streams import steps_to_draw

LEAST_UNIT = 1e-3  # error of the experts below which a table's errors count no more
SILENCE = 0.1  # probability that an expert is left out of a table
ALL_SILENT = 0.25  # and that all are, so that the loop learns to do without


class PromptStream(IterableDataset):
    """The prompts of a run, each drawn from (seed, step) alone.

    Yields ``({"X": (B, s + q, d), "y": (B, s), "n_loops": (B,), ...}, target)``: this process's
    share of a step's tables in canonical form, the target clipped. Every table of a step takes the
    same number of loops.

    Parameters
    ----------
    prior : Prior
    recipe : Recipe
    start : int
        First step.
    centre : bool, default=True
        Whether the means of columns and target are taken off.
    expert_columns : int, default=0
        If above 0, prompts also contain what the experts say, and have at most so many columns.
    processes : Processes or None, default=None
        Those that share a step's tables. None: this one alone.
    classifier : NetworkConfig or None, default=None
        Network for which y and target contain codes of classes, drawn at random unless a column
        has the same meaning in every table. None: they contain numbers.
    """

    def __init__(
        self,
        prior: Prior,
        recipe: Recipe,
        start: int,
        centre: bool = True,
        expert_columns: int = 0,
        processes: Processes | None = None,
        classifier: NetworkConfig | None = None,
    ) -> None:
        self.prior, self.recipe, self.start = prior, recipe, start
        self.centre, self.expert_columns = centre, expert_columns
        self.processes, self.classifier = processes or Processes(), classifier

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Target]]:
        for step in steps_to_draw(self.start, self.recipe.n_steps):
            yield self.prompt(step)

    def prompt(self, step: int) -> tuple[dict[str, Tensor], Target]:
        """Draw the prompt of one step.

        Parameters
        ----------
        step : int

        Returns
        -------
        prompt : dict of str to Tensor
            What the network is called with.
        target : Target
            Of the queries.
        """
        recipe, share = self.recipe, self.processes.share
        generator = seeded_generator(recipe.seed, step)
        n_features, n_support, n_loops = recipe.draw_sizes(step, generator)
        size = (recipe.n_tables(n_support), n_support + recipe.n_query, n_features)
        if isinstance(self.prior, KnowsSignal):
            X, y, signal = self.prior.sample_with_signal(generator, *size)
        else:
            X, y = self.prior.sample(generator, *size)
            signal = y
        if self.classifier is not None:
            prompt, target = self._classes(X, y, n_support, generator)
            return prompt | {"n_loops": torch.full((len(prompt["y"]),), n_loops)}, target
        X, y, signal = map(share, (X, y, signal))
        support = X[:, :n_support], y[:, :n_support]
        if isinstance(self.prior, FixedColumns):
            scale = Standardiser.identity(*support)
        else:
            scale = Standardiser.fit(*support, centre=self.centre)
        X, asked = scale.features(X), slice(n_support, None)
        prompt = {"y": scale.target(support[1]), "n_loops": torch.full((len(X),), n_loops)}
        targets = (scale.target(part)[:, asked].clamp(-CLIP, CLIP) for part in (y, signal))
        target = Target.of(*targets)
        if self.expert_columns:
            search = _draw_search(generator)
            experts = Experts.fit(
                X[:, :n_support], prompt["y"], max_columns=self.expert_columns, search=search
            )
            silent = _draw_silence(size[0], generator)
            opinions = silenced(experts.of_all(X), share(silent))
            X = experts.read(X)
            prompt |= {name: part.float() for name, part in opinions._asdict().items()}
            target = target._replace(
                unit=opinions.unit().clamp(min=LEAST_UNIT).sqrt()[:, None].float()
            )
        return {"X": X, **prompt}, target

    def _classes(
        self, X: Tensor, y: Tensor, n_support: int, generator: Generator
    ) -> tuple[dict[str, Tensor], Target]:
        """Prompt of this process's share of tables with labels y.

        It says what share that is of the queries that count.
        """
        config = self.classifier
        assert config is not None
        fixed = isinstance(self.prior, FixedColumns)
        codes = y.long() if fixed else codes_of(y, config.n_classes, generator)
        search = _draw_search(generator)
        counted = met(codes, n_support, config.n_classes)
        own = self.processes.share(counted).sum() / counted.sum().clamp(min=1)
        X, codes, silent = map(self.processes.share, (X, codes, _draw_silence(len(X), generator)))
        prompt, target = read_classes(X, codes, n_support, config, search, silent, fixed)
        return prompt | {"share": own.expand(len(X))}, target


def _draw_silence(n_tables: int, generator: Generator) -> Tensor:
    """Draw which experts are left out of which tables, (B, E)."""
    silent = torch.rand(n_tables, N_EXPERTS, generator=generator) < SILENCE
    return silent | (torch.rand(n_tables, 1, generator=generator) < ALL_SILENT)


def _draw_search(generator: Generator) -> Search:
    """Draw a cheap search for the experts, so that training also sees experts that fit worse."""
    order = torch.randperm(len(LENGTHS), generator=generator)[: integer(generator, 2, 4)]
    lengths = tuple(LENGTHS[place] for place in order.tolist())
    smooth = ("laplace", "gauss")[integer(generator, 0, 1)]
    n_loops, n_rows = integer(generator, 0, 2), integer(generator, 48, 160)
    return Search((STEPS, smooth), lengths, n_loops, n_rows)
