"""Matrices of all sizes of numbers against exact rational arithmetic."""

from fractions import Fraction

import numpy as np

from benchmarks.certificate_attacks.outcome import Outcome
from sklearn_looped.programmed import linalg

Matrix = list[list[Fraction]]
PRODUCTS = ("linear", "linear", "softmax")


def product(rng: np.random.Generator) -> Outcome:
    """Matrix product or transpose."""
    m, k, n = rng.integers(1, 6, size=3)
    a, b, kind = _matrix(rng, m, k), _matrix(rng, k, n), str(rng.choice(PRODUCTS))
    if rng.random() < 0.2:
        result = linalg.transpose(a, product=kind)
        return _judge(result.value, result, _transposed(_exact(a)))
    exact = _multiply(_exact(a), _exact(b))
    try:
        result = linalg.matmul(a, b, product=kind)
    except np.linalg.LinAlgError:
        return _refused(_exact(np.abs(a)), _exact(np.abs(b)))
    return _judge(result.value, result, exact)


def system(rng: np.random.Generator) -> Outcome:
    """Inverse or solution of a linear system."""
    n = int(rng.integers(1, 5))
    a, kind = _matrix(rng, n, n), str(rng.choice(PRODUCTS))
    inverts = rng.random() < 0.5
    b = np.eye(n) if inverts else _matrix(rng, n, int(rng.integers(1, 3)))
    exact = _solve(_exact(a), _exact(b))
    try:
        result = linalg.inv(a, product=kind) if inverts else linalg.solve(a, b, product=kind)
    except np.linalg.LinAlgError:
        return Outcome.REFUSED
    if exact is None:
        return Outcome.WRONG
    return _judge(result.value, result, exact)


def eigenvalues(rng: np.random.Generator) -> Outcome:
    """Every value is within the bound of an eigenvalue, by counts of eigenvalues below a number."""
    n = int(rng.integers(1, 5))
    a = _matrix(rng, n, n, same_scale=True)
    a = np.tril(a) + np.tril(a, -1).T
    try:
        result = linalg.eigh(a, product=str(rng.choice(PRODUCTS)))
    except np.linalg.LinAlgError:
        return Outcome.REFUSED
    matrix, bound = _exact(a), Fraction(result.certificate.error_bound)
    nudge = Fraction(np.abs(a).max()) * Fraction(2) ** -1100 + Fraction(2) ** -1200
    for value in map(Fraction, result.value.eigenvalues.tolist()):
        low, high = value - bound - nudge, value + bound + nudge
        if _n_below(matrix, high) <= _n_below(matrix, low):
            return Outcome.WRONG
    return Outcome.RIGHT


def _matrix(rng: np.random.Generator, m: int, n: int, same_scale: bool = False) -> np.ndarray:
    """Numbers with exponents anywhere in the range, by row, by column, by entry or all alike."""
    mantissas = np.where(rng.random((m, n)) < 0.2, 0.0, rng.choice([-1, 1], (m, n)))
    mantissas *= rng.uniform(1, 2, (m, n)) if rng.random() < 0.7 else 1.0
    reach = int(rng.choice([3, 60, 500, 1020]))
    shapes = [(1, 1)] if same_scale else [(1, 1), (m, 1), (1, n), (m, n)]
    exponents = rng.integers(-reach, reach, size=shapes[rng.integers(len(shapes))])
    return np.ldexp(mantissas, np.broadcast_to(exponents, (m, n)))


def _judge(value: np.ndarray, result: linalg.Result, exact: Matrix) -> Outcome:
    if not np.isfinite(result.certificate.error_bound) or not np.isfinite(value).all():
        return Outcome.WRONG
    bound = Fraction(result.certificate.error_bound)
    pairs = zip(value.tolist(), exact, strict=True)
    errors = [abs(Fraction(x) - y) for xs, ys in pairs for x, y in zip(xs, ys, strict=True)]
    return Outcome.RIGHT if max(errors) <= bound else Outcome.WRONG


def _refused(left: Matrix, right: Matrix) -> Outcome:
    """Whether terms of the product are so large that a refusal is called for."""
    largest = max(max(row) for row in _multiply(left, right))
    return Outcome.REFUSED if largest > Fraction(2) ** 1022 else Outcome.WRONG


def _exact(a: np.ndarray) -> Matrix:
    return [[Fraction(x) for x in row] for row in a.tolist()]


def _transposed(a: Matrix) -> Matrix:
    return [list(column) for column in zip(*a, strict=True)]


def _multiply(a: Matrix, b: Matrix) -> Matrix:
    columns = _transposed(b)
    return [[sum(map(Fraction.__mul__, row, column)) for column in columns] for row in a]


def _solve(a: Matrix, b: Matrix) -> Matrix | None:
    """Gauss and Jordan; None of a singular matrix."""
    rows = [[*left, *right] for left, right in zip(a, b, strict=True)]
    for i in range(len(rows)):
        pivot = next((j for j in range(i, len(rows)) if rows[j][i]), None)
        if pivot is None:
            return None
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for j in range(len(rows)):
            if j != i and rows[j][i]:
                rows[j] = [x - rows[j][i] * y for x, y in zip(rows[j], rows[i], strict=True)]
    return [row[len(rows) :] for row in rows]


def _n_below(a: Matrix, x: Fraction) -> int:
    """Eigenvalues below x: negative pivots of ``a - x I``, x moved off where a pivot is 0."""
    for nudge in range(1, 100):
        rows = [[v - x * (i == j) for j, v in enumerate(row)] for i, row in enumerate(a)]
        count = 0
        for i in range(len(rows)):
            if not (pivot := rows[i][i]):
                break
            count += pivot < 0
            for j in range(i + 1, len(rows)):
                factor = rows[j][i] / pivot
                rows[j] = [v - factor * w for v, w in zip(rows[j], rows[i], strict=True)]
        else:
            return count
        x += Fraction(2) ** (-1300 - nudge)
    raise RuntimeError("No shift without a zero pivot.")
