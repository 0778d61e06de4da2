r"""The universal machine with softmax attention and ReLU layers alone, as in the paper.

`UniversalMachine` has gated hidden units and linear attention, which are exact. Here

- a product of registers is six heads of a linearised softmax (as in Giannou et al. 2023);
- a read of the scratchpad by itself is a hard head;
- a register gated by an opcode o is :math:`\mathrm{relu}(x - C(1 - o)) -
  \mathrm{relu}(-x - C(1 - o))` with C as large as numbers can be: exact, where o is 1 nothing is
  added. The fields ``off.*`` hold 1 - o.

A linearised softmax knows a bound of its logits. Operands of products beyond `limit` are faults.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.checks import check_numbers
from sklearn_looped.programmed.machines.fleq_layers import ON, fleq_layers, real_fields
from sklearn_looped.programmed.machines.function_layers import opcode
from sklearn_looped.programmed.machines.state_reader import SCRATCH
from sklearn_looped.programmed.machines.universal import UniversalMachine
from sklearn_looped.programmed.transformer.layers import (
    FeedForward,
    Head,
    Layer,
    Projection,
    Unit,
    make_layer,
)
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    clear,
    linearised_softmax,
    masked_head,
    product_error,
)

# Products and their operands that the linearised softmax has a bound for.
FACTORS = {"dot": ("va", "vb"), "matmul": ("va", "vb"), "multiply": ("va",), "scale": ("va",)}


class PaperUniversalMachine(UniversalMachine):
    r"""The `UniversalMachine` with softmax attention and ReLU layers alone.

    Three layers. Products are off by about 1e-12 times `limit` squared and the number of their
    terms, so rounds end and residuals stay at the root of that; see `certificate`.

    Parameters
    ----------
    size, n_memory, n_instructions
        As in `UniversalMachine`.
    limit : float, default=4.0
        Largest absolute entry of the operands of ``dot`` and ``matmul``, and of the first operand
        of ``multiply`` and ``scale``, whose second is at most about 1e280 / `limit`. Beyond are
        faults. From 2**-20 to 2**20.

    Attributes
    ----------
    certificate : Certificate
        ``error_bound`` bounds the error of a product of matrices, or of numbers per unit of the
        second operand; products may be off by four units of 2**-1074 more.

    References
    ----------
    A. Giannou et al., "Looped Transformers as Programmable Computers", ICML 2023.

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.paper_universal import PaperUniversalMachine
    >>> machine = PaperUniversalMachine(size=1, n_memory=12, n_instructions=8)
    >>> round(machine.matmul([[3.0]], [[0.5]]).value.item(), 9)
    1.5
    >>> {head.kind for layer in machine.transformer.layers for head in layer.heads}
    {'softmax'}
    """

    def __init__(
        self,
        size: int = 2,
        n_memory: int = 256,
        n_instructions: int = 640,
        *,
        limit: float = 4.0,
    ) -> None:
        check_numbers(limit=limit)
        self.limit = limit
        super().__init__(size, n_memory, n_instructions)
        # The largest logits are those of ``dot``, or with a small limit those of ``multiply``.
        error = product_error(bound=max(size**2 * limit**2, limit))
        functions = dict(self.certificate.functions)
        matmul = functions["matmul"]  # six heads an entry, and an absolute error of its own
        functions["matmul"] = matmul._replace(
            n_heads=6 * matmul.n_heads,
            error_bound=product_error(bound=size * limit**2),
            relative=False,
        )
        self.certificate = replace(self.certificate, error_bound=error, functions=functions)

    def _body(self, fields: Layout) -> tuple[Layout, list[Layer]]:
        names = [opcode(name, self.functions) for name in self.operations]
        fields = fields.extend(**{f"off.{name}": 1 for name in names})
        layers = fleq_layers(fields, self.functions)
        rewrite = _Rewriting(fields, names, fields.index(*real_fields(self.functions)))
        nets = [rewrite.units(layer.feed_forward) for layer in layers]
        on, at = fields.at("scratch"), fields.at
        nets[0] += [Unit({on: 1.0, at(n): -1.0}, {at(f"off.{n}"): 1.0}) for n in names]
        nets[1] += self._limits(fields)
        nets[-1] += clear(fields, *(f"off.{name}" for name in names))
        heads = [[new for head in layer.heads for new in self._heads(fields, head)]
                 for layer in layers]  # fmt: skip
        heads[-1] += self._products(fields)
        return fields, [make_layer(fields, *parts, ON) for parts in zip(heads, nets, strict=True)]

    def _heads(self, fields: Layout, head: Head) -> list[Head]:
        """Softmax heads in place of a linear one, which reads the scratchpad or multiplies."""
        if head.kind != "linear":
            return [head]
        pairs = [
            (i, target)
            for values, target in zip(_terms(head.Wv), head.targets, strict=True)
            for i in values
        ]
        scale = float(head.Wv.values[0])
        scores = list(zip(_terms(head.Wq), _terms(head.Wk), strict=True))
        if all(set(query) == {fields.at("scratch")} for query, _ in scores):
            return [masked_head(fields, [], pairs, ON, ON, far=1.0, margin=1.0, scale=scale)]
        # A value of 1 only where the opcode is: else six large terms would round the result.
        pairs = [(fields.at(opcode("matmul", self.functions)), target) for _, target in pairs]
        bound = self.size * self.limit**2
        return linearised_softmax(fields, scores, pairs, ON, ON, bound=bound)

    def _products(self, fields: Layout) -> list[Head]:
        """Heads that add u v, a sum, and u w, entry by entry, to the result."""
        on, at = fields.at("scratch"), fields.at
        u, v, w, result = map(fields.index, ("u", "v", "w", "result"))
        scores = [({i: 1.0}, {j: 1.0}) for i, j in zip(u, v, strict=True)]
        pairs, bound = [(at("dot"), at("result"))], len(u) * self.limit**2
        heads = linearised_softmax(fields, scores, pairs, ON, ON, bound=bound)
        for i, j, target in zip(u, w, result, strict=True):
            score, pair = ({i: 1.0}, {on: 1.0}), (j, target)
            heads += linearised_softmax(fields, [score], [pair], ON, ON, bound=self.limit)
        return heads

    def _limits(self, fields: Layout) -> list[Unit]:
        """Fault > 0 where an operand of a product is beyond the limit."""
        at, on, largest = fields.at, fields.at("scratch"), torch.finfo(fields.dtype).max
        return [
            Unit({i: sign, on: -self.limit, at(f"off.{opcode(name, self.functions)}"): -largest},
                 {at("fault"): 1.0})
            for name, operands in FACTORS.items()
            for i in fields.index(*operands)[: 1 if name == "scale" else None]
            for sign in (1.0, -1.0)
        ]  # fmt: skip

    def _fault(self, program: Program, pc: int, state: Tensor) -> tuple[str, Any]:
        instruction = program.instructions[pc]
        if (operation := instruction.operation) not in FACTORS:
            return super()._fault(program, pc, state)
        if not self._read(state, SCRATCH, "fault")[0] > 0:
            return super()._fault(program, pc, state)
        memory = self._read(state, self.tokens["memory"], "value")
        factors = memory[[instruction.a, instruction.b][: len(FACTORS[operation])]].ravel()
        factors = factors[:1] if operation == "scale" else factors
        largest = float(factors[abs(factors).argmax()])
        return f"{operation} takes factors from {-self.limit:g} to {self.limit:g} here", largest


class _Rewriting:
    """Hidden units without gates; products of two real numbers are left out."""

    def __init__(self, fields: Layout, names: list[str], reals: list[int]) -> None:
        self.on, self.one, self.reals = fields.at("scratch"), fields.at("one"), set(reals)
        self.off = {fields.at(name): fields.at(f"off.{name}") for name in names}
        self.largest = torch.finfo(fields.dtype).max

    def units(self, net: FeedForward | None) -> list[Unit]:
        """Return the units of a net, rewritten."""
        if net is None:
            return []
        inputs, outputs = _terms(net.W1), _terms(Projection(net.W2.weight.T))
        gates = [None] * len(inputs) if net.G is None else _terms(net.G)
        return [unit for old in map(Unit, inputs, outputs, gates) for unit in self._rewritten(old)]

    def _rewritten(self, unit: Unit) -> Iterator[Unit]:
        gate = unit.gate
        if gate is None or gate == {self.one: 1.0}:
            yield unit._replace(gate=None)
        elif self._is_indicator(gate):
            yield Unit(self._where(unit.inputs, gate), unit.outputs)
        elif self._is_indicator(unit.inputs):
            for sign in (1.0, -1.0):
                inputs = {i: sign * c for i, c in gate.items()}
                outputs = {i: sign * c for i, c in unit.outputs.items()}
                yield Unit(self._where(inputs, unit.inputs), outputs)

    def _is_indicator(self, terms: Any) -> bool:
        return len(terms) == 1 and next(iter(terms)) in {*self.off, self.on}

    def _where(self, terms: Any, indicator: Any) -> dict[int, float]:
        """Terms, less so much where the indicator is 0 that a ReLU makes 0 of them."""
        (column,) = indicator
        if column == self.on:
            return dict(terms)
        integers = self.reals.isdisjoint(terms)  # codes, of size 1
        beyond = sum(map(abs, terms.values())) if integers else self.largest
        return {**terms, self.off[column]: -beyond}


def _terms(projection: Projection) -> list[dict[int, float]]:
    """Linear combinations that a projection computes."""
    terms: list[dict[int, float]] = [{} for _ in range(projection.weight.shape[1])]
    for i, j, value in zip(
        projection.inputs.tolist(), projection.outputs.tolist(), projection.values.tolist(),
        strict=True,
    ):  # fmt: skip
        terms[j][i] = value
    return terms
