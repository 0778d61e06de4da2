"""Example programs with vectors, pointers and real numbers, for `FleqMachine`."""

import numpy as np
from numpy.typing import NDArray

REVERSE = """
list:    .word 1, 2, 3, 4, 5
copy:    .word 0, 0, 0, 0, 0    ; copy <- the list backwards
start:   .pointer list
from:    .pointer list
to:      .pointer copy
n:       .word 5
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
; One pass of stochastic gradient descent for least squares is 11 instructions a sample.
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
    room = ", ".join(["0"] * n_samples)
    return f"{LINEAR_SGD}\nsamples: .word {room}\ntargets: .word {room}\n"


CALCULATOR = """
; z <- x + y, x - y, x * y, x / y or sqrt(x), for operation 0 to 4. The inverse and the inverse
; square root start from sums of sigmoids and are refined by Newton steps.
x:         .word 1
y:         .word 1
z:         .word 0
operation: .word 0
slopes:    .word 0              ; of the sigmoids, and their offsets
offsets:   .word 0
inverse:   .word 0              ; coefficients of the two sums
rsqrt:     .word 0
hidden:    .word 0
t:         .word 0
steps:     .word 4              ; Newton steps
.macro sum x, coefficients, z   ; z <- sum of coefficient * sigmoid(slope * x + offset)
           scale x, slopes, hidden
           add hidden, offsets, hidden
           sigmoid hidden, hidden
           dot hidden, coefficients, z
.end
           branch operation, plus
           subtract operation, #1, operation
           branch operation, minus
           subtract operation, #1, operation
           branch operation, times
           subtract operation, #1, operation
           branch operation, divide
           jump root
plus:      add x, y, z
           halt
minus:     subtract x, y, z
           halt
times:     multiply x, y, z
           halt
divide:    sum y, inverse, z
refine:    multiply y, z, t     ; z <- z (2 - y z)
           subtract #2, t, t
           multiply z, t, z
           subtract steps, #1, steps
           branch steps, quotient
           jump refine
quotient:  multiply x, z, z
           halt
root:      sum x, rsqrt, z
improve:   multiply z, z, t     ; z <- z (3 - x z z) / 2
           multiply x, t, t
           subtract #3, t, t
           multiply z, t, z
           multiply z, #0.5, z
           subtract steps, #1, steps
           branch steps, product
           jump improve
product:   multiply x, z, z     ; sqrt(x) = x / sqrt(x)
"""


def calculator_data(low: float, high: float, n_terms: int) -> dict[str, NDArray[np.float64]]:
    r"""Sigmoid sums for `CALCULATOR`, to be given to ``with_data``.

    The sums :math:`\sum_j c_j \sigma(a_j x + b_j)` approximate 1/x and 1/sqrt(x) on an interval,
    with steps at logarithmic places and coefficients by least squares on the relative error
    (Giannou et al. 2023, Section 5, after Barron's theorem). Newton's steps converge from a
    relative error below 1.

    Parameters
    ----------
    low, high : float
        The interval of y for a quotient and of x for a root; 0 < low < high.
    n_terms : int
        Number of sigmoids, the machine's `n_entries`.

    Returns
    -------
    data : dict
        The vectors slopes, offsets, inverse and rsqrt, of shape (n_terms,).

    Examples
    --------
    >>> from sklearn_looped import FleqMachine
    >>> from sklearn_looped.programmed.machines.programs import CALCULATOR, calculator_data
    >>> machine = FleqMachine(n_memory=20, n_instructions=48, n_entries=12)
    >>> program = machine.assemble(CALCULATOR).with_data(**calculator_data(0.1, 10, 12))
    >>> result = machine.run(program.with_data(x=2.0, operation=4))
    >>> round(result["z"].values[0], 12)
    1.414213562373
    """
    places = np.geomspace(low, high, n_terms)
    slopes, offsets = 4 / places, np.full(n_terms, -4.0)  # a step of relative width 1 at each place
    slopes[-1], offsets[-1] = 0.0, 0.0  # the constant term
    x = np.geomspace(low, high, 50 * n_terms)
    hidden = 1 / (1 + np.exp(-(np.outer(x, slopes) + offsets)))
    data = {"slopes": slopes, "offsets": offsets}
    for name, target in (("inverse", 1 / x), ("rsqrt", x**-0.5)):
        scaled = hidden / target[:, None]
        data[name] = np.linalg.lstsq(scaled, np.ones_like(x), rcond=None)[0]
    return data
