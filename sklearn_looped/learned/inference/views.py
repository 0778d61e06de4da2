"""Views: what each member of an ensemble sees of the encoded table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.preprocessing import StandardScaler

from sklearn_looped.core.arrays import Array
from sklearn_looped.learned.inference.support import Support

VIEWS = ("standard", "normal", "whitened", "whitened normal")  # what members see, in turn
BESIDE_KNOWN = ("normal", "whitened", "standard", "whitened normal")  # what is new comes first
RARE = 4  # a class has at least an even share over this of a subsample
DIGITS = 12  # decimals of a correlation: uncorrelated columns are their own components
LARGEST_SHARE = 0.5  # of the rows: that many components are whitened at most
ROUNDING_NOISE = 1e-7  # share of the variance that the last principal components may hold


class NormalScores(TransformerMixin, BaseEstimator):
    """Map each column to a normal distribution by its ranks (van der Waerden scores).

    A value of mean rank r among n gets the normal quantile of r / (n + 1); values between are
    interpolated, values beyond get the outermost score. NaN stays, and a column without any value
    is missing as a whole. Unlike scikit-learn's `QuantileTransformer` it does not interpolate
    quantiles of tied values, so that a change of units cannot move a tie by rounding.
    """

    def fit(self, X: Array, y: None = None, sample_weight: Array | None = None) -> "NormalScores":
        """Learn the scores of each column's values, X of shape (n, d)."""
        weights = np.ones(len(X)) if sample_weight is None else sample_weight
        self.scores_ = []
        for column in X.T:
            present = ~np.isnan(column)
            values, place = np.unique(column[present], return_inverse=True)
            tied = np.bincount(place, weights[present], len(values))
            rank = np.cumsum(tied) - (tied - 1) / 2
            self.scores_.append((values, ndtri(rank / (tied.sum() + 1))))
        return self

    def transform(self, X: Array) -> Array:
        """Replace values by scores, (q, d) -> (q, d)."""
        scored = [
            np.interp(column, values, scores) if len(values) else np.full(len(X), np.nan)
            for column, (values, scores) in zip(X.T, self.scores_, strict=True)
        ]
        return np.column_stack(scored)


class Whitening(TransformerMixin, BaseEstimator):
    """Principal components of unit variance; missing cells count as the column's mean.

    Unlike scikit-learn's `PCA` it knows weights, it leaves out the components that hold no more
    than rounding noise, and it takes at most half as many as there are rows, the largest: with as
    many as rows all rows are whitened to the same distances, whatever they hold, and errors by
    leave-one-out mean nothing.
    """

    def fit(self, X: Array, y: None = None, sample_weight: Array | None = None) -> "Whitening":
        """Learn the components of X, shape (n, d)."""
        self.scaler_ = StandardScaler().fit(X, sample_weight=sample_weight)
        Z = self._scaled(X)
        size = np.sqrt(np.average(Z**2, axis=0, weights=sample_weight))
        size[size == 0] = 1
        Z = Z / size
        weights = np.ones(len(X)) if sample_weight is None else sample_weight
        covariance = ((Z * weights[:, None]).T @ Z / weights.sum()).round(DIGITS)
        variances, components = np.linalg.eigh(covariance)
        # Rising variances: of the first ones, those that add up to rounding noise go.
        kept = np.cumsum(variances.clip(min=0)) > ROUNDING_NOISE * variances.sum()
        kept[: -max(1, int(LARGEST_SHARE * len(X)))] = False
        kept[-1] = True
        self.components_ = components[:, kept] / size[:, None] / np.sqrt(variances[kept])
        return self

    def transform(self, X: Array) -> Array:
        """Return the components, (q, d) -> (q, d')."""
        return self._scaled(X) @ self.components_[:, ::-1]

    def _scaled(self, X: Array) -> Array:
        """Return what `scaler_` makes of X, without its checks, which one row would wait for."""
        return np.nan_to_num((X - self.scaler_.mean_) / self.scaler_.scale_)


@dataclass
class View:
    """What one ensemble member sees of the encoded table.

    Attributes
    ----------
    columns : ndarray of int
        Columns it sees.
    rows : ndarray of int or None
        Support rows it sees; None: all.
    transformers : list of transformer
        Fitted on its part of the support, applied one after another.
    number : int
        Its place in the ensemble.
    """

    columns: NDArray[np.intp]
    rows: NDArray[np.intp] | None
    transformers: list[TransformerMixin]
    number: int = 0

    def support(self, support: Support) -> Support:
        """Return its part of the encoded support."""
        support = self.rows_of(support)
        return support._replace(X=self.query(support.X))

    def size(self, support: Support) -> tuple[int, int]:
        """Count the rows and columns that it sees of the encoded support."""
        return len(support.X) if self.rows is None else len(self.rows), len(self.columns)

    def rows_of(self, support: Support) -> Support:
        """Return its rows of the encoded support, with all columns."""
        return support if self.rows is None else support.take(self.rows)

    def query(self, X: Array) -> Array:
        """Return its part of encoded queries, (q, d) -> (q, d')."""
        X = X[:, self.columns]
        for transformer in self.transformers:
            X = transformer.transform(X)
        return X


def fit_views(
    support: Support,
    n_views: int,
    max_columns: int | None,
    max_rows: int,
    rng: np.random.RandomState,
    by_class: bool = False,
) -> list[View]:
    """Choose and fit what each ensemble member sees.

    Members take the `VIEWS` in turn: columns as they are, columns mapped to a normal distribution,
    and the whitened principal components of either. Where predictions by a model are known, which
    saw the columns as they are, members begin with what it did not see. Constant columns go.
    Of more than `max_columns` each member sees the half of `max_columns` most correlated with a
    target and a share of the rest, dealt so that members see different ones; of more than
    `max_rows` rows a random subsample each. With `by_class` the targets are indicators of classes,
    and the subsample is stratified (`_draw_by_class`). Members that would see the same as another
    are left out.

    Parameters
    ----------
    support : Support
        Encoded, NaN for missing cells.
    n_views, max_rows : int
    max_columns : int or None
        None: every member sees all columns.
    rng : RandomState
    by_class : bool, default=False

    Returns
    -------
    list of View
    """
    n_rows, columns = len(support.X), varying_columns(support.X)
    kinds = VIEWS if support.known is None else BESIDE_KNOWN
    max_columns = max_columns or len(columns)
    if n_rows <= max_rows and len(columns) <= max_columns:
        n_views = min(n_views, len(VIEWS))
    dealer = _ColumnDealer(support, columns, max_columns, rng)
    views = []
    for index in range(n_views):
        rows = None
        if n_rows > max_rows and by_class:
            rows = _draw_by_class(support.Y, max_rows, rng)
        elif n_rows > max_rows:
            rows = np.sort(rng.choice(n_rows, max_rows, replace=False))
        part = support if rows is None else support.take(rows)
        chosen = dealer.deal()
        chosen = chosen[varying_columns(part.X[:, chosen])]
        transformers = _fit_transformers(kinds[index % len(kinds)], part.X[:, chosen], part.weights)
        views.append(View(chosen, rows, transformers, index))
    return views


def _draw_by_class(Y: Array, max_rows: int, rng: np.random.RandomState) -> NDArray[np.intp]:
    """Rows of a stratified subsample of rows with indicators Y (n, C).

    Each class has its share of the rows, but where it has as many at least 1 / `RARE` of an even
    share: of a rare class more rows are seen than its share.
    """
    n_rows, n_classes = Y.shape
    code = Y.argmax(axis=1)
    counts = np.bincount(code, minlength=n_classes)
    least = np.minimum(counts, max(1, max_rows // (RARE * n_classes)))
    sizes = np.maximum(counts * max_rows // n_rows, least)
    while sizes.sum() > max_rows:
        sizes[sizes.argmax()] -= 1
    while sizes.sum() < max_rows:
        sizes[(counts - sizes).argmax()] += 1
    drawn = [
        rng.choice(np.flatnonzero(code == each), size, replace=False)
        for each, size in enumerate(sizes)
    ]
    return np.sort(np.concatenate(drawn))


def varying_columns(X: Array) -> NDArray[np.intp]:
    """Columns with at least two different values; the first column if there are none."""
    columns = np.flatnonzero(varying(X))
    return columns if len(columns) else np.zeros(1, dtype=np.intp)


def varying(X: Array) -> NDArray[np.bool_]:
    """Whether each column of X has at least two different values, (d,); NaN is none."""
    least, largest = np.fmin.reduce(X, axis=0), np.fmax.reduce(X, axis=0)
    return np.asarray(least < largest)


class _ColumnDealer:
    """Deals columns to members when there are more than the network reads."""

    def __init__(
        self,
        support: Support,
        columns: NDArray[np.intp],
        limit: int,
        rng: np.random.RandomState,
    ) -> None:
        self.limit, self.rng, self.columns = limit, rng, columns
        if len(columns) > limit:
            strength = _correlations(support._replace(X=support.X[:, columns]))
            ranked = columns[np.argsort(-strength, kind="stable")]
            self.always, self.rest = ranked[: limit // 2], ranked[limit // 2 :]
            self.deck: NDArray[np.intp] = self.rest[:0]

    def deal(self) -> NDArray[np.intp]:
        if len(self.columns) <= self.limit:
            return self.columns
        share = self.limit - len(self.always)
        if len(self.deck) < share:  # a new deck once the rest has been dealt
            self.deck = self.rng.permutation(self.rest)
        hand, self.deck = self.deck[:share], self.deck[share:]
        return np.sort(np.concatenate([self.always, hand]))


def _correlations(support: Support) -> Array:
    """Each column's largest absolute correlation with a target, over the cells present."""
    weights = support.counts
    Z = StandardScaler().fit(support.X, sample_weight=weights).transform(support.X)
    targets = StandardScaler().fit(support.Y, sample_weight=weights).transform(support.Y)
    present = ~np.isnan(Z) * weights[:, None]
    together = np.abs((np.nan_to_num(Z) * weights[:, None]).T @ targets)
    return (together / present.sum(axis=0)[:, None]).max(axis=1).round(6)


def _fit_transformers(view: str, X: Array, weights: Array | None) -> list[TransformerMixin]:
    """Fit the transformations of a view; whitening needs two columns that vary."""
    steps: list[TransformerMixin] = [NormalScores()] if "normal" in view else []
    if "whitened" in view and len(varying_columns(X)) > 1:
        steps.append(Whitening())
    for step in steps:
        X = step.fit(X, sample_weight=weights).transform(X)
    return steps
