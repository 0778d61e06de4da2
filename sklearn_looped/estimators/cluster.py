"""K-means: Lloyd's algorithm by hard attention in a looped transformer."""

from numbers import Integral, Real
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClusterMixin, _fit_context
from sklearn.cluster import kmeans_plusplus
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array, check_random_state
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_looped.core.arrays import Array, refuse_masked
from sklearn_looped.core.warning import warn_user
from sklearn_looped.estimators.documentation import DocumentationLink
from sklearn_looped.estimators.fitting import Evaluated, whole_or_not_at_all
from sklearn_looped.estimators.validation import (
    validate_samples,
    validate_weights,
    without_constants,
)
from sklearn_looped.programmed.algorithms.linalg import exponents
from sklearn_looped.programmed.algorithms.lloyd import (
    SMALLEST_WEIGHT,
    LloydStep,
    lloyd,
    middle,
    nearest,
)


class ProgrammedKMeans(ClusterMixin, Evaluated, DocumentationLink, BaseEstimator):
    r"""K-means clustering inside a looped transformer whose weights are written by hand.

    Samples and centres are tokens. One loop is one step of Lloyd's algorithm: samples attend to
    their nearest centre, by a softmax so sharp that it is one-hot, and centres attend to their
    samples with equal scores, so that they read their mean; see
    `sklearn_looped.programmed.algorithms.lloyd`.

    It equals :class:`~sklearn.cluster.KMeans` with ``algorithm="lloyd"`` and ``n_init=1``: the same
    starts for the same `random_state`, the same labels, and centres to about 1e-14 of the
    data's size. There are two differences. Squared distances that differ by less than about
    1e-13 of a sample's squared distance from the medians are ties, and go to the centre of the
    lower number, where scikit-learn leaves them to rounding; data of few digits have such ties.
    A centre that loses all its samples moves to the sample farthest from its own centre. If that
    one was alone with its centre, or all samples are at their centres, the empty centre goes to
    that of the heaviest cluster or, as in scikit-learn, to the sum of its samples, with the mean
    of all for the origin, where the number of that one is the higher.

    The transformer does the arithmetic. The host chooses the starts, sets features that do not vary
    to 0, takes the medians of the features as the origin, loads the tapes, in units of powers of
    two and with the logarithms of the sample weights, reads them, picks the farthest samples for
    empty centres, and stops the loops. A sample far from all others has units of its own, so it
    changes neither the precision of the others nor, in `predict`, anything but its own label.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters.
    init : {"k-means++", "random"} or array-like, default="k-means++"
        Starting centres of shape (n_clusters, n_features), or how scikit-learn draws them.
    max_iter : int, default=300
        Largest number of steps.
    tol : float, default=1e-4
        Stop when the sum of the centres' squared moves is at most `tol` times the mean variance of
        the features, or when no label changes.
    random_state : int, RandomState instance or None, default=None
        Seed of the starting centres.
    evaluation : {"fast", "dense"}, default="fast"
        "fast": with numpy, skipping what cannot act. "dense": with torch, every token attending to
        every token, which is the definition. On a CPU both give the same bits.
    device : str, default="cpu"
        Where "dense" runs: "cpu", "cuda", "cuda:N" or "auto".

    Attributes
    ----------
    cluster_centers_ : ndarray of shape (n_clusters, n_features)
        Centres.
    labels_ : ndarray of shape (n_samples,)
        Cluster of each sample.
    inertia_ : float
        Sum of squared distances of the samples to their centres, times the weights; infinite or 0
        where it is beyond the range of float64.
    n_iter_ : int
        Steps run.
    n_loops_ : int
        Loops run: the steps, and one for the final labels.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, if `X` had any.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import ProgrammedKMeans
    >>> X = np.array([[0.0], [2.0], [9.0]])
    >>> model = ProgrammedKMeans(n_clusters=2, init=[[1.0], [2.0]]).fit(X)
    >>> model.labels_, model.cluster_centers_.ravel().round(12), model.inertia_
    (array([0, 0, 1], dtype=int32), array([1., 9.]), 2.0)
    """

    _parameter_constraints: ClassVar[dict] = {
        "n_clusters": [Interval(Integral, 1, None, closed="left")],
        "init": [StrOptions({"k-means++", "random"}), "array-like"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        **Evaluated.evaluation_constraints,
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_clusters: int = 8,
        *,
        init: str | ArrayLike = "k-means++",
        max_iter: int = 300,
        tol: float = 1e-4,
        random_state: int | np.random.RandomState | None = None,
        evaluation: Literal["fast", "dense"] = "fast",
        device: str = "cpu",
    ) -> None:
        self.n_clusters = n_clusters
        self.init = init
        self.max_iter = max_iter
        self.tol = tol
        self.random_state = random_state
        self.evaluation = evaluation
        self.device = device

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(self, X: ArrayLike, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Run Lloyd's algorithm inside the transformer.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the samples in means and draws, not negative. None: 1.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data or a parameter is not valid, before any work; if there are fewer samples
            than clusters; if a sample is 2**200 times as far from the medians as half of the
            samples are; or if all weights are 0, or some are positive and smaller than 1e-60 of
            the largest.

        Warns
        -----
        ConvergenceWarning
            If a cluster ends without samples.
        """
        samples: Array = validate_samples(self, X)
        if len(samples) < self.n_clusters:
            raise ValueError(f"n_samples={len(samples)} should be >= n_clusters={self.n_clusters}.")
        weights = _check_weights(samples, sample_weight)
        start = self._check_init(samples)
        drawn = self._draw(samples, weights) if start is None else None
        samples, constants = without_constants(samples)
        unit = int(exponents(samples))
        X = np.ldexp(samples, -unit)
        origin = np.median(X, axis=0)  # a far sample does not move it
        with np.errstate(over="ignore"):  # `lloyd` refuses starts that are far beyond the data
            start = X[drawn] if start is None else np.ldexp(start - constants, -unit)
        start = start - origin
        stop = _Settled(self.tol * float(np.mean(np.var(X, axis=0))), start)
        options: dict[str, Any] = {"origin": origin, "weights": weights}
        steps = list(lloyd(X, start, self.max_iter, until=stop, **options))
        centres = steps[-1].centres
        (last,) = lloyd(X, centres, 1, **options)
        labels, inertia = last.membership.argmax(axis=1), last.inertia
        if stop.same and (labels != stop.labels).any():  # as scikit-learn, which moved a centre
            labels, gap = stop.labels, X - origin - centres[stop.labels]
            inertia = float(weights @ (gap**2).sum(axis=1))
        self.labels_ = labels.astype(np.int32)
        self.cluster_centers_ = np.ldexp(centres + origin, unit) + constants
        with np.errstate(over="ignore", under="ignore"):
            self.inertia_ = float(np.ldexp(inertia, 2 * unit))
        self.n_iter_, self.n_loops_ = len(steps), len(steps) + 1
        self._unit = middle(X, origin) + unit
        self._origin = np.ldexp(origin, unit) + constants
        self._centres = np.ldexp(centres, unit)
        n_found = len(np.unique(self.labels_))
        if n_found < self.n_clusters:
            warn_user(
                f"{self.n_clusters - n_found} of n_clusters={self.n_clusters} clusters have no "
                "samples; ask for fewer, or give other starting centres.",
                ConvergenceWarning,
            )
        return self

    def _check_init(self, X: Array) -> Array | None:
        """Check starting centres; None if they are to be drawn."""
        if isinstance(self.init, str):
            return None
        refuse_masked(init=self.init)
        start = check_array(self.init, dtype=np.float64, input_name="init")
        if start.shape != (self.n_clusters, X.shape[1]):
            raise ValueError(
                f"Got init of shape {start.shape}, but n_clusters={self.n_clusters} and X has "
                f"{X.shape[1]} features."
            )
        return start

    def _draw(self, X: Array, weights: Array) -> NDArray[np.intp]:
        """Draw samples to start from as scikit-learn draws them."""
        X, weights = (np.ldexp(each, -exponents(each)) for each in (X, weights))
        random_state = check_random_state(self.random_state)
        if self.init == "k-means++":
            centred = X - X.mean(axis=0)  # in its last digits too, which break ties
            options = {"sample_weight": weights, "random_state": random_state}
            return kmeans_plusplus(centred, self.n_clusters, **options)[1]
        shares = weights / weights.sum()
        return random_state.choice(len(X), size=self.n_clusters, replace=False, p=shares)

    def predict(self, X: ArrayLike) -> NDArray[np.int32]:
        """Nearest centre of each sample, by hard attention.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
        """
        check_is_fitted(self)
        samples: Array = validate_samples(self, X, reset=False)
        with self._evaluated():
            labels = nearest(samples, self._centres, origin=self._origin, unit=self._unit)
        return labels.astype(np.int32)


def _check_weights(X: Array, sample_weight: ArrayLike | None) -> Array:
    """Weights that Lloyd's algorithm can tell from 0."""
    given = validate_weights(sample_weight, X, ensure_non_negative=True)
    weights = np.ones(len(X)) if given is None else given
    positive = weights[weights > 0]
    if not len(positive):
        raise ValueError("Got sample_weight that are all 0; at least one must be positive.")
    if positive.min() < SMALLEST_WEIGHT * positive.max():
        raise ValueError(
            f"Got sample_weight from {positive.min():g} to {positive.max():g}; set those below "
            f"{SMALLEST_WEIGHT:g} of the largest to 0."
        )
    return weights


class _Settled:
    """scikit-learn's stop rule: no label changes, or the centres hardly move."""

    def __init__(self, tol: float, start: Array) -> None:
        self.tol = tol
        self.same, self.labels, self.centres = False, np.empty(0, dtype=np.intp), start

    def __call__(self, step: LloydStep) -> bool:
        labels = step.membership.argmax(axis=1)
        self.same = np.array_equal(labels, self.labels)
        move = float(((step.centres - self.centres) ** 2).sum())
        self.labels, self.centres = labels, step.centres
        return self.same or move <= self.tol
