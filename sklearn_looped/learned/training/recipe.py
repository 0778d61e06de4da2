"""The recipe of a meta-training run: what is drawn at each step, and how the weights move."""

from dataclasses import dataclass

from torch import Generator

from sklearn_looped.learned.fields import MAX_LOOPS, check_whole
from sklearn_looped.learned.priors.mechanisms import uniform

Range = tuple[int, int]
LATE = 0.1  # share of a run at its end
LOSSES = ("window", "ouro", "gate")
OPTIMIZERS = ("muon", "adam")


@dataclass(frozen=True)
class Recipe:
    """How a network is meta-trained. Ranges are inclusive.

    Parameters
    ----------
    n_steps : int
        Optimiser steps.
    n_features : tuple of int, default=(1, 32)
        Range of d, the columns of a table; small ones are drawn more often.
    n_support : tuple of int, default=(8, 512)
        Range of k, the support rows; drawn log-uniformly.
    n_query : int, default=64
        Query rows of a table.
    n_loops : tuple of int, default=(4, 10)
        Range of b, the loops of a step; drawn uniformly. Random counts make the number of loops
        a dial at prediction; equal ends give the fixed b of Yang et al. 2024.
    window : int, default=4
        T of Yang et al. 2024, Eq. 1: the loss is averaged over the last T loops.
    n_grad_loops : int, default=None
        Loops that gradients flow through, counted from the last. None: all; the paper's
        code uses T.
    rows_per_step : int, default=4096
        Tokens of a step, over all processes; a step takes as many tables as fit, at least one.
    curriculum : float, default=0.0
        Share of the run over which the upper ends of d, k and b grow from the lower ends.
    lr, muon_lr : float, default=1e-3, 0.01
        Peak learning rate of AdamW (embeddings, norms, readout) and of Muon (the blocks'
        matrices).
    optimizer : {"muon", "adam"}, default="muon"
        "muon": Muon for the blocks' matrices and AdamW for the rest. "adam": Adam for all, as the
        papers do; without weight decay.
    weight_decay : float, default=0.01
        Of Muon and AdamW.
    warmup, decay : float, default=0.02, 0.5
        Shares of the run in which the learning rate rises from 0 and falls to 0, linearly.
    max_norm : float, default=1.0
        Gradients are clipped to this norm.
    loss : {"window", "ouro", "gate"}, default="window"
        "window": the readout's loss over the last T loops. "ouro": stage I of Ouro, network and
        exit gate together (`gate_losses.OuroLoss`). "gate": its stage II, the gate alone on a
        network that stays as it is (`gate_losses.GateLoss`), of at least two loops. The last two
        take all loops.
    beta : float, default=0.05
        Weight of the entropy of the exits in Ouro's stage I; its later value.
    gamma, k : float, default=0.002, 500.0
        In stage II the least improvement of the loss that is worth a loop, and how sharply it is
        told. Ouro has 0.005 and 50 for log losses of tokens; 50 leaves changes of squared errors,
        in variances of the target, undecided.
    average : float, default=0.999
        Decay of the exponential moving average of the weights, which is what is kept.
    late_support : tuple of int, default=None
        Range of k in the last tenth of the run, if it differs.
    seed : int, default=0
        Seeds the initial weights and every step's tables.
    """

    n_steps: int
    n_features: Range = (1, 32)
    n_support: Range = (8, 512)
    n_query: int = 64
    n_loops: Range = (4, 10)
    window: int = 4
    n_grad_loops: int | None = None
    rows_per_step: int = 4096
    curriculum: float = 0.0
    lr: float = 1e-3
    muon_lr: float = 0.01
    optimizer: str = "muon"
    weight_decay: float = 0.01
    warmup: float = 0.02
    decay: float = 0.5
    max_norm: float = 1.0
    loss: str = "window"
    beta: float = 0.05
    gamma: float = 0.002
    k: float = 500.0
    average: float = 0.999
    late_support: Range | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        positive = (1, None)
        check_whole(
            self,
            {
                "n_steps": positive, "n_query": positive, "window": positive,
                "rows_per_step": positive, "seed": (0, None),
                **({} if self.n_grad_loops is None else {"n_grad_loops": positive}),
            },
        )  # fmt: skip
        for name, lowest, highest in (
            ("n_features", 1, None), ("n_support", 2, None), ("n_loops", 1, MAX_LOOPS),
            *([] if self.late_support is None else [("late_support", 2, None)]),
        ):  # fmt: skip
            _check_range(name, getattr(self, name), lowest, highest)
        for name in ("curriculum", "warmup", "decay", "average"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"Got {name}={getattr(self, name)!r}, but expected 0 to 1.")
        for name in ("beta", "k"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"Got {name}={getattr(self, name)!r}, but expected at least 0.")
        if not self.max_norm > 0:
            raise ValueError(f"Got max_norm={self.max_norm!r}, but expected above 0.")
        for name, known in (("loss", LOSSES), ("optimizer", OPTIMIZERS)):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"Got {name}={getattr(self, name)!r}, but expected one of {', '.join(known)}."
                )
        if self.loss == "gate" and self.n_loops[0] < 2:
            raise ValueError(
                f"Got n_loops={self.n_loops}, but loss='gate' compares each loop with the one "
                "before. Begin n_loops at 2."
            )

    def draw_sizes(self, step: int, generator: Generator) -> tuple[int, int, int]:
        """Draw the columns, support rows and loops of a step.

        Parameters
        ----------
        step : int
        generator : Generator

        Returns
        -------
        n_features, n_support, n_loops : int

        Examples
        --------
        >>> import torch
        >>> from sklearn_looped.learned.training.recipe import Recipe
        >>> fixed = Recipe(10, n_features=(5, 5), n_support=(40, 40), n_loops=(20, 20))
        >>> fixed.draw_sizes(0, torch.Generator())
        (5, 40, 20)
        """
        grown = min(1.0, step / (self.curriculum * self.n_steps)) if self.curriculum else 1.0

        def upper(low: int, high: int) -> float:
            return low + grown * (high - low) + 1

        late = self.late_support if step >= (1 - LATE) * self.n_steps else None
        n_support = late or self.n_support
        (d, _), (k, _), (b, _) = self.n_features, n_support, self.n_loops
        u = uniform(generator, 3).tolist()
        return (
            int(d + (upper(*self.n_features) - d) * u[0] ** 1.5),
            int(k * (upper(*n_support) / k) ** u[1]),
            int(b + (upper(*self.n_loops) - b) * u[2]),
        )

    def n_tables(self, n_support: int) -> int:
        """Tables of a step in which each has that many support rows.

        Parameters
        ----------
        n_support : int

        Returns
        -------
        n_tables : int

        Examples
        --------
        >>> from sklearn_looped.learned.training.recipe import Recipe
        >>> Recipe(10, n_query=64, rows_per_step=4096).n_tables(512)
        7
        """
        return max(1, self.rows_per_step // (n_support + self.n_query))

    def learning_rate(self, step: int) -> float:
        """Learning rate at a step as a share of the peak: rise, plateau, fall to zero.

        Parameters
        ----------
        step : int

        Returns
        -------
        share : float

        Examples
        --------
        >>> from sklearn_looped.learned.training.recipe import Recipe
        >>> recipe = Recipe(100, warmup=0.1, decay=0.5)
        >>> [recipe.learning_rate(step) for step in (0, 9, 50, 75)]
        [0.1, 1.0, 1.0, 0.5]
        """
        rise = (step + 1) / max(1, self.warmup * self.n_steps)
        fall = (self.n_steps - step) / max(1, self.decay * self.n_steps)
        return min(1.0, rise, fall)


@dataclass(frozen=True)
class Curriculum(Recipe):
    """Recipe of Yang et al. 2024: d, k and b grow in steps from their lower to their upper ends.

    Nothing is drawn: d, k and b of a step follow from its number. The defaults are those of the
    paper's linear functions, Adam included; a step has 64 prompts of k rows and one more, of which
    every prefix is scored.

    Parameters
    ----------
    n_steps, n_features, n_support, n_query, n_loops, window, n_grad_loops
        As in `Recipe`; the two ends of a range are where it begins and ends.
    rows_per_step, curriculum
        Not used.
    lr, muon_lr, optimizer, weight_decay, warmup, decay, max_norm, loss, beta, gamma, k, average
        As in `Recipe`.
    late_support, seed
        As in `Recipe`; the former is not used.
    n_prompts : int, default=64
        Prompts of a step.
    by : tuple of int, default=(1, 2, 2)
        By how much d, k and b grow.
    every : tuple of int, default=(5000, 5000, 500)
        After how many steps each.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.training.recipe import Curriculum
    >>> paper = Curriculum(500_000)
    >>> [paper.draw_sizes(step, torch.Generator()) for step in (0, 5000, 499_999)]
    [(5, 10, 15), (6, 12, 30), (20, 40, 30)]
    """

    n_features: Range = (5, 20)
    n_support: Range = (10, 40)
    n_query: int = 1
    n_loops: Range = (15, 30)
    window: int = 15
    n_grad_loops: int | None = 15
    lr: float = 1e-4
    optimizer: str = "adam"
    warmup: float = 0.0
    decay: float = 0.0
    max_norm: float = float("inf")
    average: float = 0.0
    n_prompts: int = 64
    by: tuple[int, int, int] = (1, 2, 2)
    every: tuple[int, int, int] = (5000, 5000, 500)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_whole(self, {"n_prompts": (1, None)})
        for name, least in (("by", 0), ("every", 1)):
            steps = getattr(self, name)
            if len(steps) != 3 or not all(type(each) is int and each >= least for each in steps):
                raise ValueError(
                    f"Got {name}={steps}, but expected three integers of at least {least}."
                )

    def draw_sizes(self, step: int, generator: Generator) -> tuple[int, int, int]:
        """Give the columns, known rows and loops of a step.

        Parameters
        ----------
        step : int
        generator : Generator
            Not used.

        Returns
        -------
        n_features, n_support, n_loops : int
        """
        d, k, b = (
            min(high, low + by * (step // every))
            for (low, high), by, every in zip(
                (self.n_features, self.n_support, self.n_loops), self.by, self.every, strict=True
            )
        )
        return d, k, b

    def n_tables(self, n_support: int) -> int:
        """Prompts of a step, however long.

        Parameters
        ----------
        n_support : int
            Not used.

        Returns
        -------
        n_tables : int
        """
        return self.n_prompts


def _check_range(name: str, ends: Range, lowest: int, highest: int | None) -> None:
    """Refuse ends that are not two integers in order, within the limits."""
    whole = len(ends) == 2 and all(type(end) is int for end in ends)
    if not whole or not lowest <= ends[0] <= ends[1] <= (highest or ends[1]):
        upper = "" if highest is None else f" <= {highest}"
        raise ValueError(f"Got {name}={ends}, but expected {lowest} <= low <= high{upper}.")
