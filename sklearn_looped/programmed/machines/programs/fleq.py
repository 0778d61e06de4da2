"""Example programs with vectors, pointers and real numbers, for `FleqMachine`."""

from collections.abc import Sequence

_REVERSE = """
start:   .pointer list
from:    .pointer list
to:      .pointer copy
skip:    .word 0
item:    .word 0
loop:    move start, from       ; from <- the address of item n
         subtract n, #1, skip
seek:    branch skip, found
         increment from, from
         subtract skip, #1, skip
         jump seek
found:   load from, item
         store item, to
         increment to, to
         subtract n, #1, n
         branch n, end
         jump loop
"""


def reverse(items: str | Sequence[float]) -> str:
    """Text of a program that writes a string, or a list of numbers, backwards.

    Parameters
    ----------
    items : str or sequence of float
        At least one. A character is its number in Unicode.

    Returns
    -------
    text : str
        The label ``copy`` holds the result.

    Examples
    --------
    >>> from sklearn_looped import FleqMachine
    >>> from sklearn_looped.programmed.machines.programs import reverse
    >>> machine = FleqMachine(n_memory=20, n_instructions=14)
    >>> cells = machine.run(reverse("loop")).block("copy", 4)
    >>> "".join(chr(int(cell.values[0])) for cell in cells)
    'pool'
    """
    numbers = [ord(item) if isinstance(item, str) else item for item in items]
    data = ", ".join(map(str, numbers))
    room = ", ".join(["0"] * len(numbers))
    return f"list: .word {data}\ncopy: .word {room}\nn: .word {len(numbers)}\n{_REVERSE}"


REVERSE = reverse([1, 2, 3, 4, 5])

SEARCH = """
list:    .word 5, 3, 8, 1
n:       .word 4
key:     .word 8
index:   .word 0                ; index <- place of the key from 0 on, -1 where there is none
here:    .pointer list
item:    .word 0
above:   .word 0
below:   .word 0
loop:    branch n, missing
         load here, item
         subtract item, key, above
         subtract key, item, below
         branch above, maybe
         jump next
maybe:   branch below, end      ; item - key <= 0 and key - item <= 0
next:    increment here, here
         add index, #1, index
         subtract n, #1, n
         jump loop
missing: move #-1, index
"""

BUBBLE_SORT = """
list:    .word 5, 3, 8, 1
n:       .word 4                ; length of the list
first:   .pointer list
p:       .pointer list
q:       .pointer list
left:    .word 0
x:       .word 0
y:       .word 0
gap:     .word 0
pass:    subtract n, #1, n
         branch n, end
         move n, left
         move first, p
swap:    increment p, q
         load p, x
         load q, y
         subtract x, y, gap
         branch gap, go_on      ; already in order
         store y, p
         store x, q
go_on:   move q, p
         subtract left, #1, left
         branch left, pass
         jump swap
"""

LINEAR_SGD = """
; One pass of stochastic gradient descent for least squares is 12 instructions a sample.
w:       .word 0                ; vector of weights
rate:    .word 0.1
epochs:  .word 1
n:       .word 1                ; samples
x:       .word 0
y:       .word 0
error:   .word 0
step:    .word 0
left:    .word 0
xs:      .pointer samples
ys:      .pointer targets
px:      .pointer samples
py:      .pointer targets
epoch:   move n, left
         move xs, px
         move ys, py
sample:  load px, x
         load py, y
         dot w, x, error
         subtract error, y, error
         scale rate, error, step
         scale step, x, step
         subtract w, step, w
         increment px, px
         increment py, py
         subtract left, #1, left
         branch left, done
         jump sample
done:    subtract epochs, #1, epochs
         branch epochs, end
         jump epoch
"""


def linear_sgd(n_samples: int) -> str:
    """Return the text of `LINEAR_SGD` with room for data, labels ``samples`` and ``targets``.

    Parameters
    ----------
    n_samples : int

    Returns
    -------
    text : str

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_looped import FleqMachine
    >>> from sklearn_looped.programmed.machines.programs import linear_sgd
    >>> machine = FleqMachine(n_memory=20, n_instructions=24, n_entries=2)
    >>> samples = [np.array([1.0, 0.0]), np.array([0.0, 2.0])]
    >>> data = {"samples": samples, "targets": [3.0, 5.0], "n": 2, "rate": 0.25}
    >>> machine.run(machine.assemble(linear_sgd(2)).with_data(**data))["w"].values
    (0.75, 2.5)
    """
    return with_samples(LINEAR_SGD, n_samples)


def with_samples(text: str, n_samples: int) -> str:
    """Text with room for samples and targets, labels ``samples`` and ``targets``."""
    room = ", ".join(["0"] * n_samples)
    return f"{text}\nsamples: .word {room}\ntargets: .word {room}\n"
