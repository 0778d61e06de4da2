"""`LoopedICLRegressor`: in-context regression."""

import os
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin, _fit_context
from sklearn.utils._param_validation import StrOptions

from sklearn_looped.core.device import choose_device
from sklearn_looped.estimators.fitting import whole_or_not_at_all
from sklearn_looped.estimators.in_context.base import InContextEstimator, fits_float32, load_weights
from sklearn_looped.estimators.in_context.targets import TargetsInContext
from sklearn_looped.estimators.validation import validate_training
from sklearn_looped.learned.checkpoints import Checkpoint
from sklearn_looped.learned.inference.support import Support
from sklearn_looped.learned.inference.tails import tails_of_targets
from sklearn_looped.learned.model.readout import deviation_of
from sklearn_looped.learned.priors import PRIORS


class LoopedICLRegressor(RegressorMixin, TargetsInContext):
    r"""In-context regression with a looped transformer.

    `fit` loads a meta-trained looped transformer and keeps the training rows as its support; the
    network is not trained. `predict` runs one block of weights again and again over the support and
    the rows to be predicted, the queries,

    .. math:: Z_{t+1} = B(\mathrm{norm}(Z_t) + P), \qquad t = 1, \dots, \text{n\_loops},

    where the prompt P embeds one row per token, and reads the prediction off the queries' last
    state [1]_. Support rows attend to support rows and queries to the support only, so neither
    the order of the rows nor the other queries matter, and the support's keys and values are
    computed once, at `fit`.

    With the default weights each token also contains the predictions of three closed-form *experts*
    for its row: ridge regression and two kernel machines (`KernelMachineRegressor`), for support
    rows by leave-one-out, with standard deviations and errors [2]_. The prediction is theirs,
    mixed by their errors, plus a correction c of the loop in units of the best one's error s,

    .. math:: \hat y = \sum_e w_e p_e + s\, c,

    so that what is precise does not pass through the network. Columns are read in the order of
    the machines' metric, the first 32 of them; the experts see all. Where an expert is not
    available (two rows, constant columns) the prediction does without it.

    Columns and target are standardised by the support, and their signs and the order of columns
    are made canonical: ``a * X + b`` column by column does not change the predictions, and
    ``c * y + e`` changes them by the same map. Most weights of function classes do not subtract
    means, because their functions are not shifted: with them this holds for b = 0 and e = 0 only.

    Parameters
    ----------
    weights : str, path or None, default="tabular"
        Name of shipped weights, path of a checkpoint file, or None: weights are meta-trained on
        `prior` for the table's size at the first `fit` and cached on disk (minutes; see
        `sklearn_looped.learned.training.on_demand`). Shipped are "tabular" and, for function
        classes in 20 columns, most of them those of [1]_, "linear", "ill-conditioned-linear",
        "sparse-linear", "decision-tree" and "relu-network"; of these only "linear" subtract means.
    n_loops : int, "auto" or None, default="auto"
        Loops a prediction takes, 1 to 1000. None: as many as the weights were made for. "auto": at
        most as many, by `exit_rule`. `predict` reads it too: changing it needs no new `fit`.
    exit_rule : {"support", "settled", "gate", "holdout"}, default="support"
        What "auto" means. "support": all queries take the fewest loops, three at least, after which
        one more takes less than 0.2 % off the squared error on the support. The default weights
        predict every support row without its target on the way. With other weights, and where
        members see different rows, all loops are taken. "settled": each query leaves the loop once
        two successive changes of its prediction are below 6 % of the standard deviation of y.
        "gate": a query leaves once its probability of having left, by the exit gate of the weights
        (of those shipped, only "tabular" have one), reaches `exit_quantile`. "holdout": a quarter
        of the support is held out, and all queries take the fewest loops whose squared error on it
        is within one standard error of the best; needs 20 rows.
    exit_quantile : float, default=0.95
        For "gate": a higher value takes more loops. Strictly between 0 and 1.
    prior : {"decision-tree", "linear", "relu-network", "sparse-linear", "tables"}, default=None
        What to meta-train on; needed with, and only allowed with, ``weights=None``.
    n_estimators : int, default=None
        Members of the ensemble, 1 to 1000, which see the table in turn as it is, with normal
        marginals, and as whitened principal components of either. None: the weights' own
        number, four for "tabular" and one, the table as it is, for the weights of a function
        class; in each part of a divided table, and where a whole table has steps, two, which
        begin with normal marginals and whitened components. More than four differ, and are run,
        only where rows or columns are subsampled. Of more columns than the network reads (32),
        each member sees the most correlated half and a different share of the rest.
    max_support : int or "auto", default="auto"
        "auto": all rows count. Up to 2,048 are attended to together. More are divided, along the
        columns that matter most, into parts of at most 1,024 neighbours, as many as the weights
        were trained on, each a support of its own; a query is predicted by its part. Two
        kernel machines on all rows, through 1,024 landmarks, join the experts of every part by
        their leave-one-out predictions. A whole table of at least 500 rows gets these machines too
        if 256 of its rows show that the target has steps. Time grows in proportion to the rows. Up
        to 2 GB of the parts are kept from `fit` on, enough for about 40,000 rows; beyond, `predict`
        fits the experts of the parts that it needs again, in about half a gigabyte for each part
        that runs at a time.
        A number, at least 2: rows that a member attends to; from a larger table each draws a random
        subsample, with a warning. Weights without experts always subsample, with "auto" to 2,048.
    device : str, default="auto"
        "auto" (a CUDA device where there is one), "cpu", "cuda" or "cuda:N".
    random_state : int, RandomState instance or None, default=None
        Seed of the subsamples of rows and columns. Without them the result does not depend on it.
    n_jobs : int, default=None
        Parts of a divided table that run side by side, in threads unless
        ``joblib.parallel_config`` says otherwise. None: one.
    verbose : int, default=0
        Above 0: a bar shows the members of the ensemble during `fit`, the parts of a divided
        table in every call but the staged ones, and the steps where weights are meta-trained.

    Attributes
    ----------
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, if X was a DataFrame with text names.
    column_kinds_ : dict of str
        What each column was read as: "number", "boolean", "date", "duration", "nominal",
        "missing", or "identifier" and "text", which are left out.
    feature_importances_ : ndarray of shape (n_features_in_,)
        Weights of the columns in the experts' metric, of sum one; only with weights with experts.
    n_loops_ : int
        Loops that queries take at most, by `n_loops` at the time of `fit`.
    weights_digest_ : str
        sha256 of the configuration and weights used.
    predictor_ : SupportPredictor
        Encoder, views, network and the memory of the support.

    Raises
    ------
    ValueError
        In `fit` and `predict`, if parameters, weights or data are invalid; says what to do.
    TypeError
        If cells contain lists or other objects, or X is a lazy frame of polars.

    See Also
    --------
    sklearn.linear_model.LassoCV : Strong on small, noisy, nearly linear tables.

    Notes
    -----
    Predictions are float32, the precision they are computed in; float64 for several targets, as
    scikit-learn's checks ask, and where the offset of y is more than 10,000 times its spread, or
    its size outside the range of float32. Missing cells (NaN) are information to the network.
    Duplicate rows are joined into one of their summed weight. Columns are read by what their cells
    contain (`sklearn_looped.learned.inference.encoding.TableEncoder`), and of rows that are all the
    same the distribution of their targets is predicted. A pickle contains the support and, for
    shipped weights, their name and digest only.

    Memory, with the default weights: from `fit` on the estimator keeps, for each target, keys and
    values of the support, 2.7 kB for each row, member and loop that was run, or 43 MB for four
    loops of 1,000 rows, and about 16 bytes for each pair of rows and member in the experts, or 64
    MB; of columns little, 8 bytes for each cell and for each pair of columns. A process grows by
    160 MB with 1,000 rows of 10 columns, by 170 MB with 1,000 of 100 columns, by 30 MB with 300
    rows and by 170 MB with 300 rows and four targets. Up to 512 MB are kept in all; beyond, nothing
    is kept, and each `predict` computes it again in parts of bounded size. While experts are
    fitted, several at a time where torch has several threads, they take up to 1 GB more, at 1,000
    rows 60 MB. `predict` takes 1,024 queries at a time, over all targets, in 10 to 80 MB, however
    many there are. `n_estimators=1` keeps a quarter, and numbers as `n_loops` and `max_support`
    keep less; a pickle leaves all of it out (.4 MB for 1,000 rows of 10 columns), and what it needs
    is computed at the first `predict`.

    References
    ----------
    .. [1] L. Yang, K. Lee, R. Nowak, D. Papailiopoulos, "Looped Transformers are Better at
       Learning Learning Algorithms", ICLR 2024, Eq. 1.
    .. [2] A. Radhakrishnan, D. Beaglehole, P. Pandit, M. Belkin, "Mechanism for feature learning
       in neural networks and backpropagation-free machine learning models", Science 383, 2024.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_looped import LoopedICLRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = LoopedICLRegressor().fit(X[:300], y[:300])
    >>> model.predict(X[300:]).shape
    (142,)
    >>> model.score(X[300:], y[300:]) > 0.4
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **InContextEstimator._parameter_constraints,
        "weights": [str, os.PathLike, None],
        "prior": [StrOptions(set(PRIORS)), None],
    }

    def __init__(
        self,
        weights: str | os.PathLike[str] | None = "tabular",
        *,
        n_loops: int | str | None = "auto",
        exit_rule: str = "support",
        exit_quantile: float = 0.95,
        prior: str | None = None,
        n_estimators: int | None = None,
        max_support: int | str = "auto",
        device: str = "auto",
        random_state: int | np.random.RandomState | None = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.weights = weights
        self.n_loops = n_loops
        self.exit_rule = exit_rule
        self.exit_quantile = exit_quantile
        self.prior = prior
        self.n_estimators = n_estimators
        self.max_support = max_support
        self.device = device
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    @_fit_context(prefer_skip_nested_validation=True)
    @whole_or_not_at_all
    def fit(
        self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "LoopedICLRegressor":
        """Load the weights and keep the support.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Support rows, of pandas, polars or Arrow too; NaN or None marks a missing cell.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets, finite.
        sample_weight : array-like of shape (n_samples,), default=None
            How often each row counts: a weight of 2 means the same as the row twice, a weight of
            0 as no row. Fractions are allowed; weights below one on average are relative and are
            divided by their mean. Subsamples are drawn without regard to weights.

        Returns
        -------
        self
        """
        self._prepare(X, y, sample_weight)
        self._run_support()
        return self

    def _prepare(self, X: Any, y: Any, sample_weight: Any) -> None:
        choose_device(self.device)
        if (self.weights is None) != (self.prior is not None):
            raise ValueError(
                f"Got weights={self.weights!r} and prior={self.prior!r}. Give weights, or "
                f"weights=None and a prior among {', '.join(sorted(PRIORS))}."
            )
        checkpoint = None if self.weights is None else load_weights(self.weights, classifies=False)
        table, y, weights = validate_training(self, X, y, sample_weight)
        Y = y.reshape(len(y), -1)
        self._range = np.array([Y.min(), Y.max()])
        self._tails = tails_of_targets(Y, weights)
        compressed = self._tails.compress(Y)
        rows = Support(table, compressed, weights)
        self._keep(rows, compressed, "continuous", checkpoint)
        self._one_target = y.ndim == 1
        single = self._one_target and fits_float32(Y, self.predictor_.spread)
        self._dtype = np.float32 if single else np.float64

    def _meta_trained(self, n_rows: int, n_columns: int) -> Checkpoint:
        """Weights for a table of this size."""
        from sklearn_looped.learned.training.on_demand import meta_trained  # training: only here

        assert self.prior is not None
        return meta_trained(self.prior, n_columns, n_rows, self.device, self.verbose)

    @overload
    def predict(
        self,
        X: ArrayLike,
        return_std: Literal[False] = ...,
        return_n_loops: Literal[False] = ...,
        return_novelty: Literal[False] = ...,
    ) -> NDArray[Any]: ...
    @overload
    def predict(
        self,
        X: ArrayLike,
        return_std: bool = ...,
        return_n_loops: bool = ...,
        return_novelty: bool = ...,
    ) -> Any: ...
    def predict(
        self,
        X: ArrayLike,
        return_std: bool = False,
        return_n_loops: bool = False,
        return_novelty: bool = False,
    ) -> Any:
        """Predict the target's mean for each query.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.
        return_std : bool, default=False
            Whether to return the predictive standard deviation too, noise included.
        return_n_loops : bool, default=False
            Whether to return the loops that each query took too.
        return_novelty : bool, default=False
            Whether to return how far each query lies outside the training rows too: the largest
            distance of its cells beyond their columns' ranges, in units of these ranges. 0 is
            within all ranges; at 1, one range beyond, predictions are no longer to be trusted.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
        std : ndarray of the shape of y
            Only if `return_std`.
        n_loops : ndarray of shape (n_samples,)
            Only if `return_n_loops`.
        novelty : ndarray of shape (n_samples,)
            Only if `return_novelty`.

        Raises
        ------
        ValueError
            If X is invalid, or with `return_std`, if the weights predict a mean only.
        """
        if return_std:
            self._check_quantiles()
        output, n_loops, novelty = self._run(X)
        results = [self._decode(output)]
        if return_std:
            results.append(self._shaped(deviation_of(self._restored(output[..., 1:]))))
        if return_n_loops:
            results.append(n_loops)
        if return_novelty:
            results.append(novelty)
        return results[0] if len(results) == 1 else tuple(results)

    def staged_predict(self, X: ArrayLike) -> Iterator[NDArray[Any]]:
        """Predict after every loop, in one pass, as `GradientBoostingRegressor` does by stage.

        Parameters
        ----------
        X : array-like, sparse or DataFrame of shape (n_samples, n_features)
            Queries, with the columns of `fit`.

        Yields
        ------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            After the first loop, the second, and so on up to `n_loops`.
        """
        for output in self._stages(X):
            yield self._decode(output)
