"""The prior over synthetic tables, from which the `tabular` weights learn.

Shapes: B tables, n rows, d columns.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from sklearn_looped.learned.priors.mechanisms import (
    causal_model,
    chance,
    draw_features,
    formula,
    integer,
    linear,
    log_uniform,
    lookup,
    smooth,
    standard,
    trees,
    uniform,
)

GROUP = 4  # tables that share structural choices: smaller groups mix better, larger ones are faster
FUNCTIONS = (linear, smooth, smooth, trees, formula, lookup)


def _some_columns(generator: Generator, X: Tensor, probability: float) -> Tensor:
    """Return a mask (B, 1, d) that contains each column with the given probability."""
    return torch.rand(X.shape[0], 1, X.shape[2], generator=generator) < probability


def _change_marginals(generator: Generator, X: Tensor) -> Tensor:
    """Make some columns discrete, coded, skewed or heavy-tailed, each kind in a third of calls."""
    per_column = (X.shape[0], 1, X.shape[2])
    if chance(generator, 0.35):
        n_levels = torch.randint(2, 12, per_column, generator=generator)
        levels = (torch.special.ndtr(standard(X)) * n_levels).floor()
        if chance(generator, 0.4):  # codes of a nominal column have no order
            levels = torch.sin(37.7 * levels + uniform(generator, *per_column, high=6.28))
        X = torch.where(_some_columns(generator, X, 0.35), levels, X)
    if chance(generator, 0.35):
        skewed = (uniform(generator, *per_column, low=0.2, high=1.4) * X).clamp(-6, 6).exp()
        X = torch.where(_some_columns(generator, X, 0.4), skewed, X)
    if chance(generator, 0.2):
        power = log_uniform(generator, *per_column, low=0.5, high=2.5)
        X = torch.where(_some_columns(generator, X, 0.4), X.sign() * X.abs() ** power, X)
    return X


def _add_irrelevant(generator: Generator, X: Tensor) -> Tensor:
    """Replace up to 60 % of the columns, in 30 % of calls, by columns unrelated to the target."""
    if not chance(generator, 0.3):
        return X
    share = float(uniform(generator, 1, high=0.6))
    return torch.where(
        _some_columns(generator, X, share), draw_features(generator, *X.shape), standard(X)
    )


def _repeat_rows(generator: Generator, n_tables: int, n_rows: int) -> Tensor:
    """Draw the row that each row (B, n) copies: itself, except for some rows of the last quarter.

    The last rows are the queries, some of which then occur in the support. Copies within the
    support are rare, because equal rows are merged before the network reads them.
    """
    source = torch.arange(n_rows).repeat(n_tables, 1)
    share = uniform(generator, n_tables, 1)
    copies = torch.rand(n_tables, n_rows, generator=generator) < share
    copies[:, : 3 * n_rows // 4] = False
    copied = torch.randint(max(1, n_rows // 2), source.shape, generator=generator)
    return torch.where(copies, copied, source)


def _hide_cells(generator: Generator, X: Tensor) -> Tensor:
    """Make up to 40 % of the cells of half the columns missing (NaN) in 15 % of calls.

    In half of these calls the large cells are missing, so that missingness is informative.
    """
    if not chance(generator, 0.15):
        return X
    rate = uniform(generator, X.shape[0], 1, X.shape[2], high=0.4)
    rate = rate * _some_columns(generator, X, 0.5)
    score = torch.rand(X.shape, generator=generator)
    if chance(generator, 0.5):
        score = torch.special.ndtr(-standard(X))
    return torch.where(score < rate, torch.nan, X)


def _change_target(generator: Generator, y: Tensor) -> Tensor:
    """Skew the target (25 % of calls), change its tails (10 %) or round it (10 %)."""
    y = standard(y)
    kind = float(uniform(generator, 1))
    if kind < 0.25:
        return standard((y * uniform(generator, y.shape[0], 1, low=0.1)).clamp(-6, 6).exp())
    if kind < 0.35:
        power = log_uniform(generator, y.shape[0], 1, low=0.5, high=2.0)
        return standard(y.sign() * y.abs() ** power)
    return _rounded(generator, y) if kind < 0.45 else y


def _rounded(generator: Generator, y: Tensor) -> Tensor:
    """Round each table's targets (B, n) to multiples of a step of its own."""
    step = log_uniform(generator, y.shape[0], 1, low=0.3, high=2.0)
    return (y / step).round() * step


def _add_noise(generator: Generator, X: Tensor, y: Tensor, skewed: bool) -> Tensor:
    """Add noise to the target: none in 25 % of tables, at most three times the signal.

    The noise is heavy-tailed in 15 % of calls, grows with the first column in another 15 %, and if
    asked for is skewed to either side in 20 %: a log-normal distribution about its mean.
    """
    size = log_uniform(generator, y.shape[0], 1, low=0.01, high=3.0)
    size = size * (torch.rand(y.shape[0], 1, generator=generator) > 0.25)
    noise = torch.randn(y.shape, generator=generator)
    kind = float(uniform(generator, 1))
    if kind < 0.15:
        chi_square = torch.randn(*y.shape, 4, generator=generator).square().mean(-1)
        noise = noise / (chi_square + 0.1).sqrt()
    elif kind < 0.3:
        noise = noise * torch.exp(0.5 * standard(X)[..., 0].clamp(-2, 2))
    elif kind < 0.5 and skewed:
        spread = uniform(generator, y.shape[0], 1, low=0.2, high=1.4)
        side = torch.randn(y.shape[0], 1, generator=generator).sign()
        deviation = spread.square().expm1().sqrt()  # of the log-normal distribution of mean one
        noise = side * (_log_normal(noise, spread) - 1) / deviation
    return y + size * noise


def _log_normal(normal: Tensor, spread: Tensor) -> Tensor:
    """Turn normal numbers into log-normal ones of mean one."""
    return (spread * normal - spread.square() / 2).exp()


def _count(generator: Generator, signal: Tensor) -> tuple[Tensor, Tensor]:
    """Draw counts whose expected values are log-linear in the signal, and give these too.

    They are Poisson in half of calls; in the others rates vary by themselves, so that zeros and
    large counts are more frequent. On average a count is about .1 to 10. Both are divided by the
    counts' standard deviation.
    """
    slope = uniform(generator, signal.shape[0], 1, low=0.2, high=1.2)
    mean = log_uniform(generator, signal.shape[0], 1, low=0.1, high=10.0)
    expected = mean * (slope * standard(signal).clamp(-4, 4)).exp()
    rates = expected
    if chance(generator, 0.5):
        spread = uniform(generator, signal.shape[0], 1, low=0.2, high=1.4)
        rates = expected * _log_normal(torch.randn(signal.shape, generator=generator), spread)
    counts = torch.poisson(rates, generator=generator)
    size = counts.std(1, keepdim=True) + 1e-3
    return counts / size, expected / size


def _design(generator: Generator, X: Tensor) -> Tensor:
    """Round every column to two to eight evenly spaced levels, as in a designed experiment."""
    n_levels = torch.randint(2, 9, (X.shape[0], 1, X.shape[2]), generator=generator)
    return (torch.special.ndtr(standard(X)) * n_levels).floor().minimum(n_levels - 1)


def _few_columns(generator: Generator, X: Tensor) -> Tensor:
    """Choose one to six of the columns, the same number in every table of a call."""
    kept = integer(generator, 1, min(6, X.shape[2]))
    chosen = torch.rand(X.shape[0], X.shape[2], generator=generator).argsort(1)[:, None, :kept]
    return X.gather(2, chosen.expand(-1, X.shape[1], -1))


def _function_of_features(
    generator: Generator, n_tables: int, n_rows: int, n_features: int
) -> tuple[Tensor, Tensor]:
    """Draw columns and a function of them, or in 30 % of calls a weighted sum of two functions.

    In 12 % of calls all columns have few levels. In 30 % of calls the function depends on at most
    six of the columns. In half of the calls it takes them before their marginals are changed.
    """
    inputs = draw_features(generator, n_tables, n_rows, n_features)
    if chance(generator, 0.12):
        X = inputs = standard(_design(generator, inputs))
    else:
        X = _change_marginals(generator, inputs)
        if chance(generator, 0.5):
            inputs = standard(X).clamp(-6, 6)
    if chance(generator, 0.3):
        inputs = _few_columns(generator, inputs)
    first, second = (FUNCTIONS[integer(generator, 0, len(FUNCTIONS) - 1)] for _ in range(2))
    y = standard(first(generator, inputs))
    if chance(generator, 0.3):
        weight = uniform(generator, n_tables, 1, low=0.1)
        y = y + weight * standard(second(generator, inputs))
    return X, y


@dataclass(frozen=True)
class SyntheticTables:
    """Tables of many kinds, in the spirit of the priors of prior-fitted networks.

    One family is drawn for every four tables: a structural causal model, a linear function, a
    smooth function (random Fourier features), a sum of oblivious trees, a formula of single
    columns and pairs, a lookup table indexed by levels, or a sum of two functions. Columns are
    normal, uniform, clustered or heavy-tailed, and independent or driven by common factors. They
    may then be discretised, coded or skewed; some are replaced by irrelevant columns, some cells
    are missing, and some rows are repeated. The target may be skewed or rounded, and its noise is
    between zero and three times the signal. The docstrings of the functions in `mechanisms` and
    `tables` give the distributions.

    Parameters
    ----------
    causal : float, default=0.4
        Probability of a structural causal model; otherwise the target is a function of the columns.
    skewed : bool, default=False
        Whether noise may be skewed, and targets counts (8 % of groups) or ratings (10 %).

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.learned.priors import SyntheticTables
    >>> X, y = SyntheticTables().sample(torch.Generator().manual_seed(0), 8, 100, 5)
    >>> X.shape, bool(y.isfinite().all())
    (torch.Size([8, 100, 5]), True)
    """

    causal: float = 0.4
    skewed: bool = False

    def sample(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor]:
        """Draw tables.

        Parameters
        ----------
        generator : Generator
            Source of all random numbers.
        n_tables, n_rows, n_features : int
            B, n and d.

        Returns
        -------
        X : Tensor of shape (n_tables, n_rows, n_features)
            NaN where a cell is missing.
        y : Tensor of shape (n_tables, n_rows)
        """
        X, y, _ = SyntheticTables.sample_with_signal(self, generator, n_tables, n_rows, n_features)
        return X, y

    def sample_with_signal(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Draw tables, and their targets without noise.

        Parameters
        ----------
        generator : Generator
            Source of all random numbers.
        n_tables, n_rows, n_features : int
            B, n and d.

        Returns
        -------
        X : Tensor of shape (n_tables, n_rows, n_features)
            NaN where a cell is missing.
        y : Tensor of shape (n_tables, n_rows)
        signal : Tensor of shape (n_tables, n_rows)
            The target without its noise.
        """
        groups = [min(GROUP, n_tables - start) for start in range(0, n_tables, GROUP)]
        tables = [self._sample_group(generator, size, n_rows, n_features) for size in groups]
        X, y, signal = (torch.cat(parts) for parts in zip(*tables, strict=True))
        return X, y, signal

    def _sample_group(
        self, generator: Generator, n_tables: int, n_rows: int, n_features: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        if chance(generator, self.causal):
            X, y = causal_model(generator, n_tables, n_rows, n_features)
            X = _change_marginals(generator, standard(X))
        else:
            X, y = _function_of_features(generator, n_tables, n_rows, n_features)
        X = _add_irrelevant(generator, X)
        signal = _change_target(generator, y)
        y = _add_noise(generator, X, signal, self.skewed)
        kind = float(uniform(generator, 1)) if self.skewed else 1.0
        if kind < 0.08:
            y, signal = _count(generator, signal)
        elif kind < 0.18:  # a rating: its noise is rounded too
            y = _rounded(generator, y)
        X = _hide_cells(generator, X)
        if chance(generator, 0.08):
            source = _repeat_rows(generator, n_tables, n_rows)
            X, signal = X.gather(1, source[..., None].expand_as(X)), signal.gather(1, source)
            if chance(generator, 0.5):  # the same object measured again, with new noise
                return X, _add_noise(generator, X.nan_to_num(), signal, self.skewed), signal
            y = y.gather(1, source)  # the same record: its noise is known
            signal = torch.where(source == torch.arange(n_rows), signal, y)
        return X, y, signal
