"""`fit` as a whole or not at all: results are set in one assignment at its end."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

Fit = TypeVar("Fit", bound=Callable[..., Any])


def unfitted_copy(estimator: Any) -> Any:
    """Return the estimator as it is, its parameters shared, without what an earlier `fit` found.

    What `fit` found are the attributes that end in "_", as for
    `sklearn.utils.validation.check_is_fitted`.
    """
    fresh = object.__new__(type(estimator))
    for name, value in vars(estimator).items():
        if not name.endswith("_") or name.startswith("__"):
            vars(fresh)[name] = value
    return fresh


def take_over(estimator: Any, fitted: Any) -> None:
    """Give the estimator, in one assignment, all that its fitted copy holds."""
    estimator.__dict__ = vars(fitted)


def whole_or_not_at_all(fit: Fit) -> Fit:
    """Decorate a `fit` so that one that is interrupted or refused leaves the last one's results.

    It runs on an `unfitted_copy`, which may be half done at any moment, and whose results the
    estimator takes over at the end. So a second `fit` that is stopped from the keyboard, runs out
    of memory or meets bad data never leaves a mix of two models, another thread's `predict` never
    meets one, and attributes that only an earlier `fit` set do not stay.

    It stands below scikit-learn's ``_fit_context``, which checks the parameters first.

    Examples
    --------
    >>> from sklearn.base import BaseEstimator
    >>> from sklearn_looped.estimators.fitting import whole_or_not_at_all
    >>> class Mean(BaseEstimator):
    ...     @whole_or_not_at_all
    ...     def fit(self, X, y=None):
    ...         self.n_rows_ = len(X)
    ...         self.mean_ = sum(X) / len(X)
    ...         return self
    >>> model = Mean().fit([1.0, 2.0])
    >>> model.fit([])
    Traceback (most recent call last):
    ...
    ZeroDivisionError: division by zero
    >>> model.n_rows_, model.mean_
    (2, 1.5)
    """

    @wraps(fit)
    def fit_as_a_whole(self: Any, *args: Any, **kwargs: Any) -> Any:
        fresh = unfitted_copy(self)
        fit(fresh, *args, **kwargs)
        take_over(self, fresh)
        return self

    return cast(Fit, fit_as_a_whole)
