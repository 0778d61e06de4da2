"""Primitives that are hidden units of a feed-forward net: add, compare, select, clear, product."""

import math
from collections.abc import Mapping, Sequence

from sklearn_looped.programmed.transformer.layers import Terms, Unit
from sklearn_looped.programmed.transformer.layout import Layout


def add(layout: Layout, copy: Mapping[str, str], scale: float = 1.0) -> list[Unit]:
    r"""Add ``scale * source`` to target: :math:`t + c\,(\mathrm{relu}(s) - \mathrm{relu}(-s))`.

    Parameters
    ----------
    layout : Layout
    copy : mapping of str to str
        Source field -> target field, of one width.
    scale : float, default=1.0

    Returns
    -------
    units : list of Unit

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import add
    >>> add(Layout(x=1, y=1), {"x": "y"}, -1.0)[0]
    Unit(inputs={0: 1.0}, outputs={1: -1.0}, gate=None)
    """
    return [
        Unit({source: sign}, {target: sign * scale})
        for source, target in layout.pairs(copy)
        for sign in (1.0, -1.0)
    ]


def clear(layout: Layout, *fields: str) -> list[Unit]:
    r"""Set fields to 0: :math:`f - \mathrm{relu}(f) + \mathrm{relu}(-f) = 0`, exactly.

    Parameters
    ----------
    layout : Layout
    *fields : str
        The fields, of any widths.

    Returns
    -------
    units : list of Unit
        Two for each entry.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import clear
    >>> [(unit.inputs, unit.outputs) for unit in clear(Layout(one=1, x=1), "x")]
    [({1: 1.0}, {1: -1.0}), ({1: -1.0}, {1: 1.0})]
    """
    return add(layout, {name: name for name in fields}, -1.0)


def at_least(inputs: Terms, k: float, outputs: Terms, on: int) -> list[Unit]:
    r"""Compare integers: add ``outputs`` where z >= k, on tokens with the indicator `on`.

    .. math:: [z \ge k] = T_k(z) = \mathrm{relu}(z - k + 1) - \mathrm{relu}(z - k),

    exact for integer z below the integer limit; z is 0 on tokens without `on`.

    Parameters
    ----------
    inputs : mapping of int to float
        The linear combination z of columns.
    k : float
        Threshold.
    outputs : mapping of int to float
        Column -> what is added to it.
    on : int
        Column of the indicator.

    Returns
    -------
    units : list of Unit
        Two.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.layers import FeedForward
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import at_least
    >>> layout = Layout(one=1, z=1, flag=1)
    >>> units = at_least(layout.terms(z=1.0), 3, layout.terms(flag=1.0), layout.at("one"))
    >>> X = layout.pack(3, one=1, z=[[2], [3], [4]])
    >>> FeedForward(layout, units, ("memory",))(X)[:, layout.at("flag")].tolist()
    [0.0, 1.0, 1.0]
    """
    units = []
    for shift, sign in ((1 - k, 1.0), (-k, -1.0)):
        terms = dict(inputs)
        terms[on] = terms.get(on, 0.0) + shift
        units.append(Unit(terms, {j: sign * c for j, c in outputs.items()}))
    return units


def greater(inputs: Terms, outputs: Terms, on: int, resolution: float) -> list[Unit]:
    r"""Compare reals: add ``outputs`` where z > 0; z in (0, resolution) is not told apart.

    .. math:: [z > 0] = \mathrm{relu}(z / \tau) - \mathrm{relu}(z / \tau - 1),

    exact where z <= 0, and up to rounding of :math:`z / \tau` where z >= tau (De Luca &
    Fountoulakis 2024, less_than).

    Parameters
    ----------
    inputs, outputs, on
        As in `at_least`; z may be any real number.
    resolution : float
        The smallest z that counts as positive in full, tau.

    Returns
    -------
    units : list of Unit
        Two.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.primitives import greater
    >>> [unit.inputs for unit in greater({1: 1.0}, {2: 1.0}, on=0, resolution=0.25)]
    [{1: 4.0}, {1: 4.0, 0: -1.0}]
    """
    scaled = {i: value / resolution for i, value in inputs.items()}
    shifted = {**scaled, on: scaled.get(on, 0.0) - 1.0}
    return [Unit(scaled, outputs), Unit(shifted, {j: -c for j, c in outputs.items()})]


def code_sum(
    layout: Layout, signs: Mapping[str, int], constant: int, target: str, on: str
) -> list[Unit]:
    r"""Add and subtract binary codes: target += code of ``sum(sign * field) + constant``.

    One hidden layer. For bit i let z be the sum of the operands modulo :math:`2^{i+1}`, plus
    :math:`2^{i+1}` for each operand that is subtracted, so :math:`z \ge 0` and

    .. math:: \mathrm{bit}_i = \sum_{k \ge 1} (-1)^{k+1} [z \ge k 2^i],

    a finite sum because z is bounded (Giannou et al. 2023, Lemma 3, for two operands; their
    negation and increment cost two layers more). The result wraps modulo 2**n_bits. The target
    must be 0 before, unless the old value is wanted in the sum.

    Parameters
    ----------
    layout : Layout
    signs : mapping of str to {-1, 1}
        Operand fields, of the target's width.
    constant : int
        Added to the sum.
    target, on : str
        Field of the result, and indicator of the tokens that act; there the result is added
        as code -1, +1.

    Returns
    -------
    units : list of Unit

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.layers import FeedForward
    >>> from sklearn_looped.programmed.transformer.layout import Layout, sign_code, sign_value
    >>> from sklearn_looped.programmed.transformer.primitives import code_sum
    >>> layout = Layout(one=1, scratch=1, a=4, b=4, c=4)
    >>> units = code_sum(layout, {"a": 1, "b": -1}, 0, "c", "scratch")
    >>> X = layout.pack(1, one=1, scratch=1, a=sign_code(9, 4), b=sign_code(3, 4))
    >>> X = X + FeedForward(layout, units, ("scratch",))(X)
    >>> int(sign_value(X[0, layout["c"]]))
    6
    """
    units = []
    indicator = layout.at(on)
    n_subtracted = sum(sign < 0 for sign in signs.values())
    for i in range(layout.size(target)):
        modulus = 2 ** (i + 1)
        # A code's value is sum_j 2^j (b_j + 1) / 2: half its weighted bits plus a constant.
        z = {
            layout.at(name, j): sign * 2.0**j / 2
            for name, sign in signs.items()
            for j in range(i + 1)
        }
        z[indicator] = constant + modulus * n_subtracted + sum(signs.values()) * (modulus - 1) / 2
        largest = constant + modulus * n_subtracted + (modulus - 1) * (len(signs) - n_subtracted)
        bit = layout.at(target, i)
        for k in range(1, largest // 2**i + 1):
            units += at_least(z, k * 2**i, {bit: 2.0 if k % 2 else -2.0}, indicator)
        units.append(Unit({indicator: 1.0}, {bit: -1.0}))
    return units


def select(
    layout: Layout,
    z: Terms,
    steps: Sequence[tuple[int, int]],
    limits: tuple[int, int],
    then: str,
    otherwise: str,
    target: str,
    on: str,
) -> list[Unit]:
    r"""Select a code: target += `then` where a condition on an integer z holds, else `otherwise`.

    The condition is a sum of steps, :math:`\sum_s \sigma_s [z \ge k_s] \in \{0, 1\}`. A step and a
    bit b in {-1, +1} meet in one unit pair, with M above every :math:`z - k_s`:

    .. math:: [z \ge k \wedge b = 1] = T_k(z - M (1 - b) / 2).

    This merges the three branch layers of Giannou et al. 2023 (Appendix B) into one.

    Parameters
    ----------
    layout : Layout
    z : mapping of int to float
        Integer-valued linear combination of columns.
    steps : sequence of (int, int)
        Pairs (threshold k, sign).
    limits : tuple of int
        Smallest and largest z.
    then, otherwise, target : str
        Fields with codes of one width.
    on : str
        Field of the indicator of the tokens that act.

    Returns
    -------
    units : list of Unit

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layers import FeedForward
    >>> from sklearn_looped.programmed.transformer.layout import Layout, sign_code, sign_value
    >>> from sklearn_looped.programmed.transformer.primitives import select
    >>> layout = Layout(one=1, z=1, a=3, b=3, c=3)
    >>> steps = [(2, 1)]  # z >= 2
    >>> units = select(layout, layout.terms(z=1.0), steps, (0, 3), "a", "b", "c", "one")
    >>> X = layout.pack(2, one=1, z=[[1], [2]], a=sign_code(6, 3), b=sign_code(5, 3))
    >>> sign_value(FeedForward(layout, units, ("memory",))(X)[:, layout["c"]]).tolist()
    [5, 6]
    """
    smallest, largest = limits
    indicator = layout.at(on)
    bound = 2.0 ** math.ceil(math.log2(largest - smallest + 1))
    complement = [(smallest, 1), *((k, -sign) for k, sign in steps)]
    units = []
    for field, conditions in ((then, steps), (otherwise, complement)):
        for source, bit in layout.pairs({field: target}):
            terms = dict(z)
            terms[source] = terms.get(source, 0.0) + bound / 2
            terms[indicator] = terms.get(indicator, 0.0) - bound / 2
            for k, sign in conditions:
                units += at_least(terms, k, {bit: 2.0 * sign}, indicator)
    return units + [Unit({indicator: 1.0}, {bit: -1.0}) for bit in layout.index(target)]


def product(left: Terms, right: Terms, target: int, scale: float = 1.0) -> list[Unit]:
    r"""Gated product: target += scale * left * right.

    :math:`lr = \mathrm{relu}(l) r - \mathrm{relu}(-l) r`: one of the
    two terms is 0, so the product is the correctly rounded one.

    Parameters
    ----------
    left, right : mapping of int to float
        Linear combinations of columns.
    target : int
        Column that the product is added to.
    scale : float, default=1.0

    Returns
    -------
    units : list of Unit
        Two, for a gated net.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.primitives import product
    >>> product({0: 1.0}, {1: 1.0}, target=2)[0]
    Unit(inputs={0: 1.0}, outputs={2: 1.0}, gate={1: 1.0})
    """
    return [
        Unit({i: sign * c for i, c in left.items()}, {target: sign * scale}, right)
        for sign in (1.0, -1.0)
    ]


def products(
    layout: Layout,
    left: str | Sequence[str],
    right: str | Sequence[str],
    target: str | Sequence[str],
    scale: float = 1.0,
) -> list[Unit]:
    """Gated products of fields, entry by entry; see `product`.

    A field of width 1 goes with all entries of the others: as a factor it scales them, as the
    target it is their dot product.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> from sklearn_looped.programmed.transformer.primitives import products
    >>> [unit.outputs for unit in products(Layout(x=2, square=1), "x", "x", "square")[::2]]
    [{2: 1.0}, {2: 1.0}]
    """
    fields = [layout.columns(names) for names in (left, right, target)]
    width = max(map(len, fields))
    triples = zip(*(f * width if len(f) == 1 else f for f in fields), strict=True)
    return [u for i, j, k in triples for u in product({i: 1.0}, {j: 1.0}, k, scale)]


def gate(on: int, right: Terms, target: int) -> list[Unit]:
    r"""Gated copy: target += right where column `on` is 1, nothing where it is 0.

    :math:`\mathrm{relu}(o)\, r`, exact for an indicator o.

    Parameters
    ----------
    on : int
        Column of the indicator.
    right : mapping of int to float
        Linear combination of columns.
    target : int
        Column that it is added to.

    Returns
    -------
    units : list of Unit
        One, for a gated net.

    Examples
    --------
    >>> from sklearn_looped.programmed.transformer.primitives import gate
    >>> gate(0, {1: 1.0, 2: -1.0}, target=3)
    [Unit(inputs={0: 1.0}, outputs={3: 1.0}, gate={1: 1.0, 2: -1.0})]
    """
    return [Unit({on: 1.0}, {target: 1.0}, right)]
