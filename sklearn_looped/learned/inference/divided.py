"""`DividedPredictor`: a large table in parts, each a support of its own, with experts on all rows.

Shapes: T targets, n rows, q queries, d columns.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from numpy.typing import NDArray
from tqdm.auto import tqdm

from sklearn_looped.core.arrays import Array
from sklearn_looped.core.partition import Partition
from sklearn_looped.core.rows import evenly_spaced
from sklearn_looped.learned.inference.halting import LEAST_ROWS, Exit
from sklearn_looped.learned.inference.overview import Overview
from sklearn_looped.learned.inference.predictor import SupportPredictor
from sklearn_looped.learned.inference.prepare import fitted_views
from sklearn_looped.learned.inference.support import Queries, Support
from sklearn_looped.learned.inference.views import varying

WHOLE = 2048  # rows at most that are attended to together
PART = 1024  # rows of a part at most: twice as many take twice the time and bring nothing
N_MEMBERS = 2  # of a part: two more take twice the time and bring nothing
KEPT = 2**31  # bytes that all parts keep


@dataclass(eq=False, kw_only=True)
class DividedPredictor(SupportPredictor):
    """Predictor of a table that is too large to be attended to as a whole.

    The `Overview` sees all rows. The rows are divided into parts of up to `PART` neighbours, by
    the columns of most weight in its metric (`Partition`). Each part is a `SupportPredictor`: its
    experts and the network see the rows of the part, and beside them what the overview predicts
    of each row without having seen it; the experts' mixtures have that as one more member. Views
    come first that show what the overview does not see, `N_MEMBERS` of them if nobody asks for
    more. A query is predicted by the part that it belongs to. Nothing is drawn.

    The parts run side by side, `n_jobs` at a time. They keep up to `KEPT` bytes together; beyond,
    none keeps anything, and each call fits the experts of the parts that it needs again. Of a
    part of more rows that are all the same to the metric, evenly spaced ones are kept.

    Parameters
    ----------
    overview : Overview
    partition : Partition
    n_jobs : int or None
        As joblib takes it.
    """

    overview: Overview
    partition: Partition
    n_jobs: int | None

    @classmethod
    def of(cls, whole: SupportPredictor, n_jobs: int | None) -> "DividedPredictor":
        """Divide the table of a predictor that has no views."""
        support = whole.support
        overview = Overview.fit(support)
        known = support._replace(known=overview.left_out)
        if whole.config.classifies:
            known = known._replace(prior=support.shares())
        partition = Partition(overview.scaled(support.X), PART)
        given = vars(whole) | {"support": known, "max_rows": PART, "overview": overview}
        return cls(**given, partition=partition, n_jobs=n_jobs)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what can be made again."""
        return {name: value for name, value in super().__getstate__().items() if name != "parts"}

    @cached_property
    def parts(self) -> list[SupportPredictor]:
        """Predictors of the parts."""
        kept = KEPT // len(self.partition.parts)
        return [self._part(self.support.take(rows), kept) for rows in self._rows]

    @property
    def _rows(self) -> list[NDArray[np.intp]]:
        """Rows of each part that are attended to."""
        return [rows[evenly_spaced(len(rows), PART)].numpy() for rows in self.partition.parts]

    def _part(self, support: Support, kept: int) -> SupportPredictor:
        rng = np.random.RandomState(0)  # of views that see all rows and columns: not used
        views = fitted_views(support, self.config, self.n_members, PART, rng)
        part = SupportPredictor(
            self.checkpoint, self.encoder, support, views, self.n_loops, self.n_members, PART,
            self.device, kept=kept,
        )  # fmt: skip
        part.network = self.network
        return part

    def _all(self, jobs: list[Any], **options: Any) -> list[Any]:
        shown = tqdm(jobs, desc="parts", disable=not self.verbose)
        return list(Parallel(self.n_jobs, **options)(shown))

    def run_support(self, exit: Exit) -> int:
        """Run the parts through the network, if they are kept, as their queries will."""
        self._all([delayed(part.run_support)(exit) for part in self.parts], require="sharedmem")
        return self.n_loops

    def _divided(self, X: Queries) -> list[tuple[int, NDArray[np.intp]]]:
        """Return the numbers of the parts that queries belong to, and the queries of each."""
        part = self.partition.of(self.overview.scaled(X.X)).numpy()
        return [(number, np.flatnonzero(part == number)) for number in np.unique(part)]

    def predict_encoded(self, X: Queries, exit: Exit) -> tuple[Array, NDArray[np.intp]]:
        """Predict queries that are encoded, as `predict` does."""
        groups = self._divided(X)
        jobs = [
            delayed(self.parts[number].predict_encoded)(X[rows], exit) for number, rows in groups
        ]
        outputs, loops = zip(*self._all(jobs, prefer="threads"), strict=True)
        order = np.argsort(np.concatenate([rows for _, rows in groups]))
        return np.concatenate(outputs, axis=1)[:, order], np.concatenate(loops)[order]

    def encoded_stages(self, X: Queries, n_loops: int) -> Iterator[Array]:
        """Yield what `stages` does, of queries that are encoded."""
        groups = self._divided(X)
        order = np.argsort(np.concatenate([rows for _, rows in groups]))
        runs = [self.parts[number].encoded_stages(X[rows], n_loops) for number, rows in groups]
        for outputs in zip(*runs, strict=True):
            yield np.concatenate(outputs, axis=1)[:, order]

    def predict_support(self, folds: NDArray[np.intp], exit: Exit) -> Array:
        """Predict the support rows, (T, n, n_outputs), each from the other folds (n,) of its part.

        Rows of a part that are not attended to are predicted from all that are, as is a row that
        is alone in its part. Where all rows of a small part are in one fold, they are dealt anew.
        """
        known, outputs, places = self.support.as_queries(), [], []
        for part, rows, attended in zip(self.parts, self.partition.parts, self._rows, strict=True):
            if len(attended) < 2:  # there is no other row to predict it from
                attended = attended[:0]
            else:
                own = folds[attended]
                own = own if np.ptp(own) else np.arange(len(own)) % 2
                outputs.append(part.predict_support(own, exit))
            others = np.setdiff1d(rows.numpy(), attended)
            if len(others):
                outputs.append(part.predict_encoded(known[others], exit)[0])
            places += [attended, others]
        return np.concatenate(outputs, axis=1)[:, np.argsort(np.concatenate(places))]

    def held_out_losses(self, spread: Array) -> list[Array]:
        """Loss of each row of a quarter of every part after every loop; few rows sit out."""
        parts = [part for part in self.parts if len(part.support.X) >= LEAST_ROWS]
        by_part = self._all(
            [delayed(part.held_out_losses)(spread) for part in parts], prefer="threads"
        )
        return [np.concatenate(losses) for losses in zip(*by_part, strict=True)]

    def attention(self, table: Any, n_loops: int, member: int) -> Iterator[Array]:
        """Refuse: queries attend to different rows.

        Raises
        ------
        ValueError
        """
        raise ValueError(
            f"attention_by_loop needs a table that is not divided, but {len(self.support.X)} rows "
            f"are divided into {len(self.parts)} parts. Set max_support to a number, so that rows "
            "are subsampled instead."
        )

    def importances(self, n_columns: int) -> Array:
        """Return the importance of each of the table's columns by the overview's metric."""
        weights = self.overview.weights() * varying(self.support.X)
        return self.encoder.shares_of_columns(weights, n_columns)
