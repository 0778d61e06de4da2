"""Views: what each member of an ensemble sees of the encoded table."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri
from scipy.stats import rankdata
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_looped.learned.encoding import Array

VIEWS = ("standard", "whitened", "normal", "whitened normal")  # what members see, in turn
ROUNDING_NOISE = 1e-7  # share of the variance that the last principal components may hold


class NormalScores(TransformerMixin, BaseEstimator):
    """Map each column to a normal distribution by its ranks (van der Waerden scores).

    A value of mean rank r among n gets the normal quantile of r / (n + 1); values between are
    interpolated, values beyond get the outermost score. NaN stays. Unlike scikit-learn's
    `QuantileTransformer` it does not interpolate quantiles of tied values, so that a change of
    units cannot move a tie by rounding.
    """

    def fit(self, X: Array, y: None = None) -> "NormalScores":
        """Learn the scores of each column's values, X of shape (n, d)."""
        self.scores_ = []
        for column in X.T:
            present = column[~np.isnan(column)]
            values, first = np.unique(present, return_index=True)
            ranks = rankdata(present)[first]
            self.scores_.append((values, ndtri(ranks / (len(present) + 1))))
        return self

    def transform(self, X: Array) -> Array:
        """Replace values by scores, (q, d) -> (q, d)."""
        columns = zip(X.T, self.scores_, strict=True)
        return np.column_stack([np.interp(c, values, scores) for c, (values, scores) in columns])


@dataclass
class View:
    """What one ensemble member sees of the encoded table.

    Attributes
    ----------
    columns : ndarray of int
        Columns it sees.
    rows : ndarray of int or None
        Support rows it sees; None: all.
    transformer : transformer or None
        Fitted on its part of the support; None: the columns as they are.
    """

    columns: NDArray[np.intp]
    rows: NDArray[np.intp] | None
    transformer: TransformerMixin | None

    def support(self, X: Array, y: Array) -> tuple[Array, Array]:
        """Return its part of the encoded support, (n, d) -> (s, d') and (n,) -> (s,)."""
        if self.rows is not None:
            X, y = X[self.rows], y[self.rows]
        return self.query(X), y

    def query(self, X: Array) -> Array:
        """Return its part of encoded queries, (q, d) -> (q, d')."""
        X = X[:, self.columns]
        return X if self.transformer is None else self.transformer.transform(X)


def fit_views(
    X: Array, y: Array, n_views: int, max_columns: int, max_rows: int, rng: np.random.RandomState
) -> list[View]:
    """Choose and fit what each ensemble member sees.

    Members take the `VIEWS` in turn: columns as they are, whitened principal components, columns
    mapped to a normal distribution, and the principal components of those. Constant columns go.
    Of more than `max_columns` each member sees the half of `max_columns` most correlated with y
    and a share of the rest, dealt so that members see different ones; of more than `max_rows`
    rows a random subsample each. Members that would see the same as another are left out.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Encoded support, NaN for missing cells.
    y : ndarray of shape (n,)
    n_views, max_columns, max_rows : int
    rng : RandomState

    Returns
    -------
    list of View
    """
    n_rows, columns = len(X), _varying_columns(X)
    if n_rows <= max_rows and len(columns) <= max_columns:
        n_views = min(n_views, len(VIEWS))
    dealer = _ColumnDealer(X, y, columns, max_columns, rng)
    views = []
    for index in range(n_views):
        rows = None
        if n_rows > max_rows:
            rows = np.sort(rng.choice(n_rows, max_rows, replace=False))
        chosen = dealer.deal()
        part = X[:, chosen] if rows is None else X[np.ix_(rows, chosen)]
        views.append(View(chosen, rows, _fit_transformer(VIEWS[index % len(VIEWS)], part)))
    return views


def _varying_columns(X: Array) -> NDArray[np.intp]:
    """Columns with at least two different values; the first column if there are none."""
    varying = np.flatnonzero(
        [np.ptp(present) > 0 if len(present := c[~np.isnan(c)]) else False for c in X.T]
    )
    return varying if len(varying) else np.zeros(1, dtype=np.intp)


class _ColumnDealer:
    """Deals columns to members when there are more than the network reads."""

    def __init__(
        self, X: Array, y: Array, columns: NDArray[np.intp], limit: int, rng: np.random.RandomState
    ) -> None:
        self.limit, self.rng, self.columns = limit, rng, columns
        if len(columns) > limit:
            strength = _correlations(X[:, columns], y)
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


def _correlations(X: Array, y: Array) -> Array:
    """Absolute correlation of each column with y over the cells that are present."""
    Z = StandardScaler().fit_transform(X)
    centred = StandardScaler().fit_transform(y[:, None])
    return np.abs(np.nanmean(Z * centred, axis=0)).round(6)


def _fit_transformer(view: str, X: Array) -> TransformerMixin | None:
    """Fit the transformation of a view; whitening needs two columns that vary."""
    steps: list[TransformerMixin] = [NormalScores()] if "normal" in view else []
    if "whitened" in view and len(_varying_columns(X)) > 1:
        pca = PCA(1 - ROUNDING_NOISE, whiten=True, svd_solver="full")
        steps += [SimpleImputer(keep_empty_features=True), StandardScaler(), pca]
    return make_pipeline(*steps).fit(X) if steps else None
