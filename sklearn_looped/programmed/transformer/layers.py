"""Layers of a programmed transformer: attention heads and feed-forward nets of fixed weights.

Shapes: n tokens of width d; r query rows, k keys of dimension q, c columns a head writes to.

Every sum over real numbers runs in one fixed order, whatever the number of rows or keys, and
terms of weight 0 change nothing. So evaluating only the rows and keys that can act gives the
bits of the dense evaluation, on any BLAS and with any number of threads.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, Self

import torch
from torch import Tensor

from sklearn_looped.programmed.transformer.layout import Layout

if TYPE_CHECKING:
    from sklearn_looped.programmed.transformer.codes import Code

Terms = Mapping[int, float]
SCORES = 2**23  # that a head holds at a time: 64 MB in float64


class Projection:
    """Linear map of tokens ``X @ weight``, summed over the non-zero weights in a fixed order.

    Parameters
    ----------
    weight : Tensor of shape (d_in, d_out)

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.layers import Projection
    >>> Projection(torch.tensor([[1.0, 0.0], [2.0, 3.0]]))(torch.tensor([[1.0, 1.0]])).tolist()
    [[3.0, 3.0]]
    """

    def __init__(self, weight: Tensor) -> None:
        self.weight = weight
        self.outputs, self.inputs = weight.T.nonzero().T.contiguous()
        self.values = weight[self.inputs, self.outputs]
        self._flat: dict[int, Tensor] = {}  # number of rows -> index into the flattened result

    @classmethod
    def of(cls, layout: Layout, terms: Sequence[Terms]) -> Self:
        """Projection whose outputs are the given linear combinations of a token's columns."""
        weight = torch.zeros(layout.width, len(terms), dtype=layout.dtype, device="cpu")
        inputs = [i for combination in terms for i in combination]
        outputs = [j for j, combination in enumerate(terms) for _ in combination]
        values = [value for combination in terms for value in combination.values()]
        weight[inputs, outputs] = torch.tensor(values, dtype=layout.dtype, device="cpu")
        return cls(weight)

    def to(self, device: torch.device) -> Self:
        """Return the projection on a device."""
        return type(self)(self.weight.to(device))

    def __call__(self, X: Tensor) -> Tensor:
        """Project rows: (r, d_in) -> (r, d_out)."""
        r, d_out = X.shape[0], self.weight.shape[1]
        if r not in self._flat:
            offsets = torch.arange(r, device=X.device)[:, None] * d_out
            self._flat = {r: (offsets + self.outputs).reshape(-1)}
        products = X[:, self.inputs] * self.values  # (r, non-zeros)
        flat = X.new_zeros(r * d_out).index_add_(0, self._flat[r], products.reshape(-1))
        return flat.view(r, d_out)


class Pointer(NamedTuple):
    """Where a match head's pointer lies, in its query rows (read) or key row (write), and how."""

    columns: slice
    held_by: Literal["query", "key"]
    code: "Code"


@dataclass(frozen=True, eq=False)
class Head:
    r"""One attention head; it adds its output to the residual stream.

    With :math:`S = (X W_q)(X W_k)^\top`, the output is

    - softmax: :math:`\mathrm{softmax}(\lambda S)\, X W_v`, row by row (Giannou et al. 2023, Eq. 1);
    - linear: :math:`S\, X W_v`;
    - graph: :math:`\tilde A\, \mathrm{softmax}(\lambda S)\, X W_v` with the adjacency matrix
      :math:`\tilde A` of the tokens, or with its transpose (De Luca & Fountoulakis 2024, Eq. 2).

    Parameters
    ----------
    kind : {"softmax", "linear", "graph"}
    Wq, Wk : Projection, (d, q)
        Query and key weights.
    Wv : Projection, (d, c)
        Value weights, without the zero columns.
    targets : tuple of int, length c
        The columns of the state that the values are added to.
    rows : tuple of str
        Kinds of token on which the head can act; on all others its output is 0.
    keys : tuple of str
        Kinds of token that those rows can attend to with a value other than 0.
    temperature : float, default=1.0
        The factor :math:`\lambda` of the scores, named as in Giannou et al.: larger is harder.
    margin : float or None, default=None
        Smallest gap between the best score and the next one, for heads whose softmax must be
        exactly one-hot. None: a soft or linear head.
    pointer : Pointer or None, default=None
        Where a match head holds the code of the token that it matches.
    transposed : bool, default=False
        Whether a graph head multiplies by the transpose of the adjacency matrix.

    Examples
    --------
    A softmax whose keys are all the same averages the values of all tokens.

    >>> import torch
    >>> from sklearn_looped.programmed.transformer.layers import Head, Projection
    >>> zero, identity = (Projection(w.double()) for w in (torch.zeros(1, 1), torch.eye(1)))
    >>> mean = Head("softmax", zero, zero, identity, (0,), rows=("a",), keys=("a",))
    >>> mean(torch.tensor([[1.0], [5.0]], dtype=torch.float64)).tolist()
    [[3.0], [3.0]]
    """

    kind: Literal["softmax", "linear", "graph"]
    Wq: Projection
    Wk: Projection
    Wv: Projection
    targets: tuple[int, ...]
    rows: tuple[str, ...]
    keys: tuple[str, ...]
    temperature: float = 1.0
    margin: float | None = None
    pointer: Pointer | None = None
    transposed: bool = False

    def attend(self, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """Attention of the head; a graph head's output is yet to be multiplied by its matrix.

        Parameters
        ----------
        queries : Tensor of shape (r, q)
        keys : Tensor of shape (k, q)
        values : Tensor of shape (k, c)

        Returns
        -------
        output : Tensor of shape (r, c)
        """
        n_rows = max(1, SCORES // max(1, len(keys)))  # at a time; each row is summed by itself
        if len(queries) <= n_rows:
            return self.mix(self.attention(queries, keys), values)
        parts = queries.split(n_rows)
        return torch.cat([self.mix(self.attention(part, keys), values) for part in parts])

    def attention(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Weights of the values: (r, q), (k, q) -> (r, k); softmax rows sum to one."""
        scores = self.product(queries, keys.T)
        return scores if self.kind == "linear" else ordered_softmax(self.temperature * scores)

    def mix(self, attention: Tensor, values: Tensor) -> Tensor:
        """Values weighted by attention: (r, k), (k, c) -> (r, c)."""
        return self.product(attention, values)

    def product(self, left: Tensor, right: Tensor) -> Tensor:
        """Product of scores or values; summed first to last, unless the head is a hard one."""
        # A hard head's scores are exact and its attention is one-hot: any order of sums is exact.
        return ordered_matmul(left, right) if self.margin is None else left @ right

    def __call__(self, X: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """Dense evaluation, every token attends to every token: (n, d) -> (n, c)."""
        output = self.attend(self.Wq(X), self.Wk(X), self.Wv(X))
        if self.kind != "graph":
            return output
        if adjacency is None:
            raise ValueError("Got no adjacency matrix, but the layer has a graph head.")
        return ordered_matmul(adjacency.T if self.transposed else adjacency, output)


def ordered_softmax(scores: Tensor) -> Tensor:
    """Softmax over the last axis; keys that underflow to 0 leave no trace in the sum."""
    exps = torch.exp(scores - scores.amax(-1, keepdim=True))
    return exps / torch.cumsum(exps, -1)[:, -1:]


def ordered_matmul(left: Tensor, right: Tensor) -> Tensor:
    """``left @ right`` (r, k), (k, c), summed over k first to last; zero rows are left out."""
    kept = right.any(1).nonzero().flatten()
    if right.shape[1] == 1 and left.dtype == torch.float64:  # the same sums, many times faster
        terms = left[:, kept] * right[kept, 0]
        return torch.nn.functional.pad(terms, (1, 0)).cumsum(-1)[:, -1:]
    out = left.new_zeros(left.shape[0], right.shape[1])
    for k in kept.tolist():
        out += left[:, k, None] * right[k]
    return out


class Unit(NamedTuple):
    """One hidden unit: it adds ``relu(inputs @ x) * (gate @ x)`` times each of `outputs`.

    `gate` None means 1. There is no bias: constants ride on an indicator field.
    """

    inputs: Terms
    outputs: Terms
    gate: Terms | None = None


class FeedForward:
    r"""Feed-forward net :math:`\mathrm{relu}(X W_1) W_2`, or the gated form of it.

    The gated form is :math:`(\mathrm{relu}(X W_1) \odot X G) W_2`.
    A product of two fields is exact in the gated form: :math:`uv = \mathrm{relu}(u) v -
    \mathrm{relu}(-u) v`, where one of the two terms is 0.

    Parameters
    ----------
    fields : Layout
        Fields of a token, d columns; of a gated net the field ``one``, 1 on every token, is the
        gate of ungated units.
    units : sequence of Unit
        The hidden units; m of them.
    rows : tuple of str
        Kinds of token on which the net can act; on all others its output is 0.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.layers import FeedForward, Unit
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> negate = [Unit({1: 1.0}, {1: -2.0}), Unit({1: -1.0}, {1: 2.0})]
    >>> net = FeedForward(Layout(one=1, value=1), negate, rows=("memory",))
    >>> X = torch.tensor([[1.0, 3.0]], dtype=torch.float64)
    >>> X + net(X)
    tensor([[ 1., -3.]], dtype=torch.float64)
    """

    def __init__(self, fields: Layout, units: Sequence[Unit], rows: tuple[str, ...]) -> None:
        self.rows = rows
        self.W1 = Projection.of(fields, [unit.inputs for unit in units])  # (d, m)
        outputs = Projection.of(fields, [unit.outputs for unit in units])
        self.W2 = Projection(outputs.weight.T)  # (m, d)
        self.G = None  # or (d, m)
        if any(unit.gate is not None for unit in units):
            one = fields.terms(one=1.0)
            self.G = Projection.of(fields, [one if u.gate is None else u.gate for u in units])

    def to(self, device: torch.device) -> Self:
        """Return the net on a device."""
        moved = copy(self)
        moved.W1, moved.W2 = self.W1.to(device), self.W2.to(device)
        moved.G = None if self.G is None else self.G.to(device)
        return moved

    def __call__(self, X: Tensor) -> Tensor:
        """Output of the net, (r, d) -> (r, d)."""
        hidden = torch.relu(self.W1(X))
        if self.G is not None:
            hidden = hidden * self.G(X)
        return self.W2(hidden)


@dataclass(frozen=True, eq=False)
class Layer:
    """Attention, then feed-forward, each added to the residual stream; no normalisation.

    Parameters
    ----------
    heads : tuple of Head
        May be empty.
    feed_forward : FeedForward or None, default=None

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.programmed.transformer.layers import Unit, make_layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> units = [Unit({0: 1.0}, {1: 5.0})]
    >>> layer = make_layer(Layout(one=1, value=1), units=units, rows=("memory",))
    >>> layer(torch.tensor([[1.0, 2.0], [0.0, 2.0]], dtype=torch.float64)).tolist()
    [[1.0, 7.0], [0.0, 2.0]]
    """

    heads: tuple[Head, ...]
    feed_forward: FeedForward | None = None

    def __call__(self, X: Tensor, adjacency: Tensor | None = None) -> Tensor:
        """Dense evaluation, the definition of the layer: (n, d) -> (n, d)."""
        state = X.clone()
        for head in self.heads:
            state[:, list(head.targets)] += head(X, adjacency)
        return state if self.feed_forward is None else state + self.feed_forward(state)

    def at_temperature(self, temperature: float) -> "Layer":
        """Return the layer with another temperature of its hard heads."""
        heads = (h if h.margin is None else replace(h, temperature=temperature) for h in self.heads)
        return replace(self, heads=tuple(heads))

    def to(self, device: torch.device) -> "Layer":
        """Return the layer on a device."""
        names = ("Wq", "Wk", "Wv")
        heads = tuple(
            replace(head, **{name: getattr(head, name).to(device) for name in names})
            for head in self.heads
        )
        net = self.feed_forward
        return Layer(heads, None if net is None else net.to(device))

    def projections(self) -> Iterator[tuple[str, Projection]]:
        """All linear maps with their names."""
        for i, head in enumerate(self.heads):
            yield f"head{i}.Wq", head.Wq
            yield f"head{i}.Wk", head.Wk
            yield f"head{i}.Wv", head.Wv
        if (net := self.feed_forward) is not None:
            yield "W1", net.W1
            yield "W2", net.W2
            if net.G is not None:
                yield "G", net.G

    def weights(self) -> Iterator[tuple[str, Tensor]]:
        """All weight matrices with their names."""
        for name, projection in self.projections():
            yield name, projection.weight


def make_layer(
    fields: Layout,
    heads: Iterable[Head] = (),
    units: Sequence[Unit] = (),
    rows: tuple[str, ...] = (),
) -> Layer:
    """Layer of heads and hidden units, the latter acting on the kinds of token `rows`."""
    return Layer(tuple(heads), FeedForward(fields, units, rows) if units else None)


def make_layers(
    fields: Layout,
    rows: tuple[str, ...],
    *parts: tuple[Iterable[Head], Sequence[Unit]],
) -> list[Layer]:
    """Layers of heads and hidden units, all of which act on the kinds of token `rows`."""
    return [make_layer(fields, heads, units, rows) for heads, units in parts]
