"""A `fit` that succeeds as a whole or changes nothing: results are assigned once, at its end."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import wraps
from typing import Any, ClassVar, TypeVar, cast

from sklearn.utils._param_validation import StrOptions

from sklearn_looped.programmed.transformer.evaluation import evaluated

Fit = TypeVar("Fit", bound=Callable[..., Any])


class Evaluated:
    """Parameters of all programmed estimators: how and where their transformers are evaluated."""

    evaluation: str
    device: str

    evaluation_constraints: ClassVar[dict] = {
        "evaluation": [StrOptions({"fast", "dense"})],
        "device": [str],
    }

    def _evaluated(self) -> Any:
        """Context in which blocks run as the parameters say."""
        return evaluated(self.evaluation, self.device)


def unfitted_copy(estimator: Any) -> Any:
    """Return a copy of the estimator that shares its parameters and has no fitted attributes.

    Fitted attributes are those whose names end in "_", as for
    `sklearn.utils.validation.check_is_fitted`.
    """
    fresh = object.__new__(type(estimator))
    for name, value in vars(estimator).items():
        if not name.endswith("_") or name.startswith("__"):
            vars(fresh)[name] = value
    return fresh


def take_over(estimator: Any, fitted: Any) -> None:
    """Give the estimator all attributes of its fitted copy, in one assignment."""
    estimator.__dict__ = vars(fitted)


def whole_or_not_at_all(fit: Fit) -> Fit:
    """Decorate a `fit` so that a call that raises leaves the results of the previous call in place.

    The decorated function runs on an `unfitted_copy` of the estimator, and the estimator takes over
    the results at the end. A second `fit` that is interrupted, runs out of memory or raises because
    of bad data therefore never leaves a mixture of two models. A `predict` of another thread that
    is under way when `fit` ends may read some attributes before and some after: predict from a
    `copy.copy` of an estimator that is fitted again meanwhile. Attributes that only an earlier
    `fit` set are removed. Blocks of a programmed estimator run in the evaluation that it asks for.

    The decorator belongs below scikit-learn's ``_fit_context``, which checks the parameters first.

    Parameters
    ----------
    fit : callable
        The `fit` of an estimator.

    Returns
    -------
    decorated : callable

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
        with fresh._evaluated() if isinstance(fresh, Evaluated) else nullcontext():
            fit(fresh, *args, **kwargs)
        take_over(self, fresh)
        return self

    return cast(Fit, fit_as_a_whole)
