"""Division of many rows into parts of neighbours.

Shapes: n rows, q queries, d columns.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

DIGITS = 6  # decimals of a variance's share: of equal ones the first column is taken


@dataclass(frozen=True)
class _Split:
    """A place where rows are divided by the value of one column."""

    column: int
    value: Tensor
    low: "_Split | int"
    high: "_Split | int"


class Partition:
    """Tree that halves rows at the median of the column of largest variance until they are few.

    With columns in units of a learned metric, that is the column along which the target changes
    most, as in the trees of xRFM [1]_. Rows of equal cells stay together, however many they are.

    Parameters
    ----------
    X : Tensor of shape (n, d)
    most : int
        Rows of a part at most.

    Attributes
    ----------
    parts : list of Tensor
        Numbers of the rows of each part, rising.

    References
    ----------
    .. [1] D. Beaglehole, D. Holzmüller, A. Radhakrishnan, M. Belkin, "xRFM: Accurate, scalable,
       and interpretable feature learning models for tabular data", 2025.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.partition import Partition
    >>> partition = Partition(torch.tensor([[0.0], [5.0], [1.0], [6.0]]), most=2)
    >>> [part.tolist() for part in partition.parts], partition.of(torch.tensor([[9.0]]))
    ([[0, 2], [1, 3]], tensor([1]))
    """

    def __init__(self, X: Tensor, most: int) -> None:
        self.parts: list[Tensor] = []
        self._root = self._divide(X, torch.arange(len(X)), most)

    def _divide(self, X: Tensor, rows: Tensor, most: int) -> _Split | int:
        inside = X[rows]
        variances = inside.var(0, correction=0)
        shares = variances / variances.max().clamp(min=torch.finfo(X.dtype).tiny)
        column = int(shares.round(decimals=DIGITS).argmax())
        values = inside[:, column]
        if len(rows) <= most or values.min() == values.max():
            self.parts.append(rows)
            return len(self.parts) - 1
        value = values.median()
        if value == values.max():  # most rows have it: those below go to the other side
            value = values[values < value].max()
        low = values <= value
        return _Split(
            column,
            value,
            self._divide(X, rows[low], most),
            self._divide(X, rows[~low], most),
        )

    def of(self, Q: Tensor) -> Tensor:
        """Return the number of the part that each query belongs to, (q, d) -> (q,)."""
        number = torch.zeros(len(Q), dtype=torch.long)
        waiting = [(self._root, torch.arange(len(Q)))]
        while waiting:
            place, queries = waiting.pop()
            if isinstance(place, int):
                number[queries] = place
                continue
            low = Q[queries, place.column] <= place.value
            waiting += [(place.low, queries[low]), (place.high, queries[~low])]
        return number
