"""Programmed layers as differentiable functions of the numbers in their weights."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from sklearn_looped.programmed.transformer.layers import Layer

Weights = list[dict[str, Tensor]]


class AffineLayers:
    r"""Layers whose weight matrices are affine in some numbers, with gradients to these.

    Each matrix is :math:`W_0 + \sum_p \theta_p W_p`. The construction itself says which: it is
    called at :math:`\theta = 0` and at all unit vectors.

    Parameters
    ----------
    construct : callable
        Maps n numbers to the layers of a loop body; all of its heads are linear.
    n_values : int
        n.

    Raises
    ------
    ValueError
        If a head is not linear.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.bridge.layers import AffineLayers
    >>> from sklearn_looped.programmed.transformer.layers import Unit, make_layer
    >>> from sklearn_looped.programmed.transformer.layout import Layout
    >>> def scale(values):
    ...     units = [Unit({0: 1.0}, {1: values[0]})]
    ...     return [make_layer(Layout(one=1, value=1), units=units, rows=("row",))]
    >>> layers = AffineLayers(scale, n_values=1)
    >>> layers(torch.tensor([[3.0, 1.0]]), layers.weights(torch.tensor([2.0])))
    tensor([[3., 7.]])
    """

    def __init__(self, construct: Callable[[Sequence[float]], Sequence[Layer]], n_values: int):
        self.layers = construct([0.0] * n_values)
        if any(head.kind != "linear" for layer in self.layers for head in layer.heads):
            raise ValueError("Got a loop body with softmax or graph heads; give linear ones.")
        constant = _weights(self.layers)
        terms: list[dict[str, list[Tensor]]] = [
            {name: [_entries(W, n_values)] for name, W in layer.items()} for layer in constant
        ]
        for p, unit in enumerate(torch.eye(n_values).tolist()):
            for layer, zero, found in zip(_weights(construct(unit)), constant, terms, strict=True):
                for name, W in layer.items():
                    found[name].append(_entries(W - zero[name], p))
        self._shapes = [{name: W.shape for name, W in layer.items()} for layer in constant]
        self._terms = [{name: torch.cat(e) for name, e in layer.items()} for layer in terms]

    def weights(self, values: Tensor) -> Weights:
        """Weight matrices of all layers, by name, from the numbers (n,)."""
        extended = torch.cat([values, values.new_ones(1)])
        return [
            {name: _fill(shapes[name], entries, extended) for name, entries in layer.items()}
            for shapes, layer in zip(self._shapes, self._terms, strict=True)
        ]

    def __call__(self, state: Tensor, weights: Weights) -> Tensor:
        """One pass of the loop body over batches of tokens, (..., n, width) -> same.

        The dense evaluation of `sklearn_looped.programmed.transformer.layers.Layer`, up to the
        order of sums.
        """
        for layer, W in zip(self.layers, weights, strict=True):
            state = _attend(layer, W, state)
            if "W1" in W:
                hidden = torch.relu(state @ W["W1"])
                hidden = hidden * (state @ W["G"]) if "G" in W else hidden
                state = state + hidden @ W["W2"]
        return state


def _attend(layer: Layer, W: Mapping[str, Tensor], state: Tensor) -> Tensor:
    """Add the outputs of all heads; linear attention multiplies keys and values first."""
    outputs: list[Tensor] = []
    targets: list[int] = []
    for i, head in enumerate(layer.heads):
        query, key, value = (state @ W[f"head{i}.W{which}"] for which in "qkv")
        outputs.append(query @ (key.mT @ value))
        targets += head.targets
    if not outputs:
        return state
    place = torch.tensor(targets, device=state.device)
    return state.index_add(-1, place, torch.cat(outputs, -1))


def _weights(layers: Sequence[Layer]) -> Weights:
    return [dict(layer.weights()) for layer in layers]


def _entries(W: Tensor, p: int) -> Tensor:
    """Non-zero entries as rows (row, column, number of the value, coefficient)."""
    place = W.nonzero()
    number = torch.full((len(place), 1), p)
    return torch.cat([place, number, W[W != 0][:, None]], 1).double()


def _fill(shape: torch.Size, entries: Tensor, values: Tensor) -> Tensor:
    row, column, number = entries[:, :3].long().to(values.device).T
    terms = entries[:, 3].to(values) * values[number]
    return values.new_zeros(shape).index_put((row, column), terms, accumulate=True)
