"""Inverse and linear systems by the Newton-Schulz iteration."""

from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
from numpy.linalg import LinAlgError
from numpy.typing import ArrayLike

from sklearn_looped.core.arrays import Array, refuse_masked
from sklearn_looped.programmed.algorithms.linalg.result import (
    UNIT_ROUNDOFF,
    Exponents,
    Result,
    check_matrix,
    check_options,
    check_square,
    rounding_of_product,
    row_exponents,
    scale_back,
    warn_if_above_tol,
)
from sklearn_looped.programmed.transformer.block import Block, Tape
from sklearn_looped.programmed.transformer.layers import make_layers
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    AttentionKind,
    add,
    attention_product,
    clear,
    product_error,
)

_LARGEST_INVERSE = 2.0**22  # entries of the inverse that linearised products are declared for
_N_BALANCINGS = 16  # each halves the distance, in binary digits
_ADVICE = (
    "In float64 that takes a condition number below about 1e16 / n * tol, after scaling; here it "
    "is about {:.1e}. Regularise the matrix or raise tol."
)


def inv(
    a: ArrayLike,
    *,
    tol: float = 1e-8,
    product: AttentionKind = "linear",
    max_loops: int = 128,
) -> Result[Array]:
    r"""Inverse of a matrix by Newton-Schulz loops, as :func:`numpy.linalg.inv`.

    Token i holds row i of A, column i of the inverse X and of the residual R. One loop is

    .. math:: X \leftarrow X + X R, \qquad R \leftarrow I - A X,

    two layers of attention (Giannou et al. 2023, Table 1, from :math:`X (2I - AX)`). R is
    squared every loop, so after about :math:`2 \log_2 \kappa + 10` loops, with the condition
    number :math:`\kappa`, X is the inverse.

    The host loads the tape: A with rows and columns in units of powers of two, which is exact,
    and the start :math:`A^\top / 2^p` with :math:`2^p \ge \|A\|_1 \|A\|_\infty`. It stops the
    loops when R stops shrinking, reads X, and bounds its error from R.

    Parameters
    ----------
    a : array-like of shape (n, n)
    tol : float, default=1e-8
        Relative error that the certificate is to promise: its bound over the largest entry.
        In float64 that takes a condition number, after scaling, below about ``1e16 / n * tol``.
    product : {"linear", "softmax"}, default="linear"
        Linear attention, which rounds as floating-point arithmetic does; or the linearised
        softmax of the paper, which errs by `product_error`, 4.4e-12, in every entry of R.
    max_loops : int, default=128
        Cap on the number of loops.

    Returns
    -------
    result : Result
        With ``value`` of shape (n, n). ``certificate.error_bound`` is the largest entry of
        :math:`|X| (I - |R|)^{-1} |R|`, with the rounding of R included in :math:`|R|`.

    Raises
    ------
    numpy.linalg.LinAlgError
        If `a` is not square, singular to the precision of the products, or needs more loops, or
        the result is beyond the range of float64.
    ValueError
        If `a` is not finite and real, or an option is not valid.

    Warns
    -----
    ConvergenceWarning
        If the certificate does not promise `tol`.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023, Table 1.
    T. Söderström, G. W. Stewart, "On the Numerical Properties of an Iterative Method for
    Computing the Moore-Penrose Generalized Inverse", SIAM J. Numer. Anal. 1974.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.linalg import inv
    >>> result = inv([[2.0, 1.0], [1.0, 1.0]])
    >>> result.value.round(12), result.certificate.error_bound < 1e-13
    (array([[ 1., -1.],
           [-1.,  2.]]), True)
    """
    check_options(tol=tol, product=product, max_loops=max_loops)
    a = check_square(a)
    system = _System.load(a, np.empty((len(a), 0)))
    found = _iterate(system, product, max_loops)
    unit = system.columns[:, None] + system.rows
    value, bound = scale_back(found.inverse, found.trusted @ found.residual, unit)
    certificate = _newton_block(len(value), 0, product).certify(bound)
    result = Result(value, found.n_loops, tol, certificate)
    warn_if_above_tol(result, value, _ADVICE.format(found.condition))
    return result


def solve(
    a: ArrayLike,
    b: ArrayLike,
    *,
    tol: float = 1e-8,
    product: AttentionKind = "linear",
    max_loops: int = 128,
) -> Result[Array]:
    r"""Solution of a linear system by Newton-Schulz loops, as :func:`numpy.linalg.solve`.

    The loop of `inv`, and beside it in the same two layers a step of iterative refinement,

    .. math:: y \leftarrow y + X q, \qquad q \leftarrow b - A y,

    so the solution is as good as the residual q is, not as the inverse is.

    Parameters
    ----------
    a : array-like of shape (n, n)
    b : array-like of shape (n,) or (n, k)
    tol, product, max_loops
        As in `inv`. With the linearised softmax, entries of the inverse (after scaling) must be
        below 4e6.

    Returns
    -------
    result : Result
        With ``value`` of the shape of `b`. ``certificate.error_bound`` is the largest entry of
        :math:`|X| (I - |R|)^{-1} |q|`, with the rounding of R and q included.

    Raises
    ------
    numpy.linalg.LinAlgError, ValueError
        As `inv`; or if the shapes do not fit.

    Warns
    -----
    ConvergenceWarning
        If the certificate does not promise `tol`.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.linalg import solve
    >>> solve([[2.0, 1.0], [1.0, 1.0]], [3.0, 2.0]).value.round(12)
    array([1., 1.])
    """
    check_options(tol=tol, product=product, max_loops=max_loops)
    a = check_square(a)
    refuse_masked(b=b)
    vector = np.ndim(b) == 1
    b = check_matrix(np.asarray(b)[:, None] if vector else b, "b")
    if len(b) != len(a):
        raise ValueError(f"Got 'b' of {len(b)} rows, but 'a' has {len(a)}; they must be as many.")
    system = _System.load(a, b)
    found = _iterate(system, product, max_loops)
    unit = system.columns[:, None] + system.targets
    value, bound = scale_back(found.solution, found.trusted @ found.left, unit)
    certificate = _newton_block(*b.shape, product).certify(bound)
    result = Result(value[:, 0] if vector else value, found.n_loops, tol, certificate)
    warn_if_above_tol(result, value, _ADVICE.format(found.condition))
    return result


@dataclass(frozen=True)
class _System:
    """A system in units of powers of two, given by exponents: entries are of order 1."""

    a: Array
    b: Array
    rows: Exponents
    columns: Exponents
    targets: Exponents  # of the columns of b

    @classmethod
    def load(cls, a: Array, b: Array) -> "_System":
        for axis, name in ((1, "row"), (0, "column")):
            if (empty := ~a.any(axis=axis)).any():
                raise LinAlgError(f"Singular matrix: {name} {int(np.argmax(empty))} is 0.")
        rows, columns = _units(a)
        targets = row_exponents(b.T, rows)
        scaled = np.ldexp(b, rows[:, None] - targets)
        return cls(np.ldexp(a, rows[:, None] + columns), scaled, rows, columns, targets)


def _units(a: Array) -> tuple[Exponents, Exponents]:
    """Exponents that make the largest entry of all rows and columns about 1 (Ruiz 2001)."""
    with np.errstate(divide="ignore"):
        logs = np.log2(np.abs(a))
    rows, columns = np.zeros(len(a)), np.zeros(len(a))
    for _ in range(_N_BALANCINGS):
        balanced = logs + rows[:, None] + columns
        rows -= balanced.max(axis=1) / 2
        columns -= balanced.max(axis=0) / 2
    return np.round(rows).astype(int), np.round(columns).astype(int)


@dataclass(frozen=True)
class _Inverse:
    """What the loops left: X, y, bounds on |I - A X| and |b - A y|, and on |inverse of A|."""

    inverse: Array
    solution: Array
    residual: Array
    left: Array
    trusted: Array
    condition: float
    n_loops: int


def _iterate(system: _System, product: AttentionKind, max_loops: int) -> _Inverse:
    """Run the loops; raise where X is no inverse."""
    a, b = system.a, system.b
    n, k = b.shape
    block = _newton_block(n, k, product)
    start = 2.0 ** np.ceil(np.log2(np.linalg.norm(a, 1) * np.linalg.norm(a, np.inf)))
    fields: dict[str, ArrayLike] = {"unit": np.eye(n), "a": a, "x": a / start}
    tape = block.load(Layout(null=1, row=n), row={**fields, "b": b} if k else fields)
    end, n_loops = block.run(tape, max_loops, until=_Settled(k))
    x, r = end.read("row", "x").T, end.read("row", "r").T
    y, q = (end.read("row", name) if k else b for name in ("y", "q"))
    with np.errstate(over="ignore", invalid="ignore"):  # X of a singular matrix may overflow
        residual = np.abs(r) + rounding_of_product(a, x) + UNIT_ROUNDOFF
        left = np.abs(q) + rounding_of_product(a, y) + UNIT_ROUNDOFF * (np.abs(b) + np.abs(q))
        if product == "softmax":
            residual += product_error()
            left += product_error(n) * np.abs(y).sum(axis=0)
        distance = np.linalg.norm(residual)
        condition = float(np.linalg.norm(a) * np.linalg.norm(x))
    if not distance < 1:
        raise LinAlgError(
            f"Singular matrix, or max_loops={max_loops} is too few: after {n_loops} loops A X is "
            f"{distance:.1g} away from the identity (below 1 is needed), at a condition number of "
            f"about {condition:.1e} so far."
        )
    if product == "softmax" and k and np.abs(x).max() > _LARGEST_INVERSE:
        raise LinAlgError(
            f"Got an inverse with entries up to {np.abs(x).max():.1e}, but linearised products are "
            f"declared up to {_LARGEST_INVERSE:.1e}; use product='linear'."
        )
    trusted = np.abs(x) @ np.linalg.inv(np.eye(n) - residual)  # A^-1 = X (I - R)^-1
    return _Inverse(x, y, residual, left, trusted, condition, n_loops)


@dataclass
class _Settled:
    """Stop rule of the host: the residuals no longer halve, or R blows up.

    R is squared by a loop, so while it halves too slowly its norm is above 1/4.
    """

    k: int
    previous: Array = field(default_factory=lambda: np.array([np.inf, np.inf]))

    def __call__(self, end: Tape) -> bool:
        left = [end.read("row", name) for name in (("r", "q") if self.k else ("r", "r"))]
        with np.errstate(over="ignore"):
            norms = np.array([np.linalg.norm(values) for values in left])
        if not norms[0] <= 2 * np.sqrt(end.tokens.size("row")):
            return True
        halved = (norms <= self.previous / 2) & (norms > 0)
        self.previous = norms
        return bool(norms[0] < 0.25 and not halved.any())


@lru_cache(maxsize=16)
def _newton_block(n: int, k: int, product: AttentionKind) -> Block:
    """Loop body for an n x n matrix and k right-hand sides; of none, it only inverts."""
    fields = Layout(one=1, null=1, row=1, unit=n, a=n, x=n, r=n)
    if k:
        fields = fields.extend(b=k, y=k, q=k)
    rows = ("row",)
    multiply = partial(attention_product, product, fields, rows=rows, keys=rows)
    update = multiply("r", "unit", {"x": "x"})
    residual = multiply("x", "a", {"unit": "r"}, scale=-1.0)
    forget, identity = clear(fields, "r"), add(fields, {"unit": "r"})
    if k:
        update += multiply("unit", "x", {"q": "y"}, bound=_LARGEST_INVERSE)
        residual += multiply("a", "unit", {"y": "q"}, scale=-1.0)
        forget, identity = forget + clear(fields, "q"), identity + add(fields, {"b": "q"})
    return Block(fields, make_layers(fields, rows, (update, forget), (residual, identity)))
