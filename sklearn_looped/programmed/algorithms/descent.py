"""Gradient descent on in-context linear regression: each step is one layer of linear attention."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_array, check_X_y

from sklearn_looped.core.arrays import Array, refuse_masked
from sklearn_looped.programmed.algorithms.linalg.result import exponents
from sklearn_looped.programmed.transformer.block import Block
from sklearn_looped.programmed.transformer.layers import Layer, make_layer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import add, gate, linear_product, make_head


class Step(NamedTuple):
    r"""One gradient step, a layer; its numbers are weights of that layer.

    Inputs are in units in which the support's Gram matrix :math:`C = \sum_i x_i x_i^\top` has
    Frobenius norm 1: its largest eigenvalue is at most 1, and at least :math:`d^{-1/2}`.

    Parameters
    ----------
    size : float, default=1.0
        Step size :math:`\eta`; below 2, plain descent of equal steps converges.
    momentum : float, default=0.0
        Share :math:`\beta` of this step that the next one repeats (Polyak's heavy ball).
    growth, whitening : float, default=0.0
        After the step the inputs become :math:`(1 + g)(I - w C)\, x`; 1/2 and 1/3 are the
        Newton-Schulz iteration for :math:`C^{-1/2}`.
    """

    size: float = 1.0
    momentum: float = 0.0
    growth: float = 0.0
    whitening: float = 0.0


NEWTON = Step(1.0, 0.0, 1 / 2, 1 / 3)


def chebyshev_steps(n_steps: int, condition: float) -> list[Step]:
    r"""Richardson's best cycle of step sizes for eigenvalues in :math:`[1 / \kappa, 1]`.

    The inverse roots of the Chebyshev polynomial of that interval; of one step it is
    :math:`2 / (1 + 1 / \kappa)`, the best constant one.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.descent import chebyshev_steps
    >>> [round(step.size, 3) for step in chebyshev_steps(2, condition=9.0)]
    [1.15, 4.144]
    """
    low, angles = 1 / condition, np.pi * (np.arange(n_steps) + 0.5) / n_steps
    roots = (1 + low) / 2 + (1 - low) / 2 * np.cos(angles)
    return [Step(float(size)) for size in 1 / roots]


def descend(
    X: ArrayLike,
    y: ArrayLike,
    X_query: ArrayLike,
    *,
    steps: Sequence[Step] = (Step(),),
    preconditioner: ArrayLike | None = None,
    n_loops: int = 1,
) -> Iterator[Array]:
    r"""Predictions of linear regression without intercept after each loop of gradient steps.

    A support token holds :math:`x_i` and the residual :math:`r_i = y_i - f_i` of its prediction,
    a query token :math:`x_j` and its prediction. A step is one layer,

    .. math:: v_j \leftarrow \beta v_j + \eta \sum_i (x_j^\top x_i)\, r_i, \qquad
        f_j \leftarrow f_j + v_j, \qquad r_i \leftarrow r_i - v_i,

    a head of linear attention to the support (von Oswald et al. 2023, Proposition 1) and a
    feed-forward net: batch gradient descent on :math:`\sum_i r_i^2 / 2` from weights of 0. With
    `Step.growth` two heads more move the inputs of all tokens alike (GD++ in the same paper),
    which whitens them: descent on ill-conditioned data then converges as Newton's method does.

    The host loads the tape, with X in units of :math:`\|X^\top X\|_F^{1/2}`, and reads the
    predictions. All arithmetic rounds as floating-point arithmetic does; no product is
    approximated.

    Parameters
    ----------
    X : array-like of shape (n_support, n_features)
    y : array-like of shape (n_support,)
    X_query : array-like of shape (n_query, n_features)
    steps : sequence of Step, default=(Step(),)
        The loop body, one layer a step.
    preconditioner : array-like of shape (n_features, n_features), default=None
        P of the scores :math:`x_j^\top P x_i` in place of :math:`x_j^\top x_i`. None: the
        identity.
    n_loops : int, default=1

    Yields
    ------
    prediction : ndarray of shape (n_query,)

    Raises
    ------
    ValueError
        If the data or predictions are not finite, the shapes do not fit, or there is no step or
        loop.

    References
    ----------
    J. von Oswald et al., "Transformers Learn In-Context by Gradient Descent", ICML 2023.

    Examples
    --------
    >>> from sklearn_looped.programmed.algorithms.descent import NEWTON, Step, descend
    >>> X, y = [[1.0, 1.0], [0.0, 0.5]], [3.0, 1.0]
    >>> *_, prediction = descend(X, y, [[1.0, 0.0]], steps=[NEWTON], n_loops=10)
    >>> prediction.round(9)
    array([1.])
    """
    if not steps:
        raise ValueError("Got no steps, but a loop body has at least one.")
    refuse_masked(X=X, y=y, X_query=X_query, preconditioner=preconditioner)
    x, target = check_X_y(X, y, dtype=np.float64, y_numeric=True)
    x_query = check_array(X_query, dtype=np.float64, input_name="X_query")
    if x_query.shape[1] != x.shape[1]:
        raise ValueError(
            f"Got X_query of {x_query.shape[1]} columns, but X has {x.shape[1]}; give the same."
        )
    d = x.shape[1]
    P = np.eye(d) if preconditioner is None else check_array(preconditioner, dtype=np.float64)
    if P.shape != (d, d):
        raise ValueError(f"Got a preconditioner of shape {P.shape}, but expected ({d}, {d}).")
    newton = any(step.growth or step.whitening for step in steps)
    block = descent_block(steps, P, newton=newton)
    tokens = Layout(support=len(x), query=len(x_query))
    x, x_query = _in_units(x, x_query)
    support = {"x": x, "residual": target[:, None]} | ({"key": x} if newton else {})
    tape = block.load(tokens, support=support, query={"x": x_query})
    for end in block.states(tape, n_loops):
        prediction = end.read("query", "prediction")[:, 0]
        if not np.isfinite(prediction).all():
            raise ValueError(
                "Got predictions beyond the range of float64: the steps diverge, or X_query is too "
                "far from X; take smaller steps or scale the data."
            )
        yield prediction


def _in_units(x: Array, x_query: Array) -> tuple[Array, Array]:
    """Measure inputs in the units of `Step`; in a power of two first: no square overflows."""
    scale = exponents(x)
    x = np.ldexp(x, -scale)
    unit = np.linalg.norm(x.T @ x) ** 0.5 or 1.0
    with np.errstate(over="ignore"):
        return x / unit, np.ldexp(x_query, -scale) / unit


def descent_block(steps: Sequence[Step], preconditioner: Array, *, newton: bool) -> Block:
    r"""Loop body of gradient steps, see `descend`. All weights are affine in the given numbers.

    Parameters
    ----------
    steps : sequence of Step
    preconditioner : ndarray of shape (n_features, n_features)
    newton : bool
        Whether the layers have the heads that whiten; without them, growth and whitening of
        the steps are left out.

    Returns
    -------
    block : Block
    """
    fields = descent_fields(len(preconditioner), newton=newton)
    return Block(fields, descent_layers(fields, steps, preconditioner))


def descent_fields(d: int, *, newton: bool) -> Layout:
    """Fields of gradient steps in d columns for one target; see `descent_layers`."""
    fields = Layout(one=1, support=1, x=d, residual=1, velocity=1, prediction=1)
    return fields.extend(key=d) if newton else fields


def descent_layers(
    fields: Layout,
    steps: Sequence[Step],
    preconditioner: Array,
    rows: tuple[str, ...] = ("support", "query"),
    keys: tuple[str, ...] = ("support",),
) -> list[Layer]:
    """Layers of gradient steps, see `descend`, for any number of targets.

    Parameters
    ----------
    fields : Layout
        With ``x``; ``residual``, ``velocity`` and ``prediction``, an entry a target; ``support``,
        1 where there is a residual and 0 elsewhere. With a field ``key``, which is x on the support
        and 0 elsewhere, the layers whiten.
    steps, preconditioner
        As in `descent_block`.
    rows, keys : tuple of str
        Kinds of token that predict, and that have a residual.

    Returns
    -------
    layers : list of Layer
    """
    return [_step_layer(fields, step, preconditioner, rows, keys) for step in steps]


def _step_layer(
    fields: Layout, step: Step, P: Array, rows: tuple[str, ...], keys: tuple[str, ...]
) -> Layer:
    pairs, x = fields.pairs({"residual": "velocity"}), fields.index("x")
    # Velocity += size * sum over the support of (x_j' P x_i) times its residual.
    scores = [({i: float(P[a, j]) for a, i in enumerate(x)}, {x[j]: 1.0}) for j in range(len(x))]
    heads = [make_head(fields, scores, pairs, rows, keys, kind="linear", scale=step.size)]
    units = [unit for r, v in pairs for unit in gate(fields.at("support"), {v: -1.0}, r)]
    units += add(fields, {"velocity": "prediction"})
    units += add(fields, {"velocity": "velocity"}, step.momentum - 1)
    if "key" in fields:
        for moved, tokens in (("x", rows), ("key", keys)):
            copy, scale = {"key": moved}, -step.whitening
            heads.append(linear_product(fields, moved, "key", copy, tokens, keys, scale=scale))
        units += add(fields, {"x": "x", "key": "key"}, step.growth)
    return make_layer(fields, heads, units, rows)
