"""Heads and hidden units of functions of one's own, on the scratchpad of the FLEQ machine.

A sum of sigmoids takes two hidden units, which write the arguments :math:`a_j x + b_j` and the
coefficients of the opcode's function to registers, and a bank of heads, one a term, that all
functions share: only the one of the opcode has coefficients other than 0. A sum of ReLU units is
gated hidden units. A composition does so once in every layer, with registers in between.
"""

from collections.abc import Mapping

import numpy as np
import torch

from sklearn_looped.programmed.machines.functions import (
    FleqFunction,
    MatrixProduct,
    ReluSum,
    SigmoidSum,
    Sum,
    Transposition,
    cost,
    stages_of,
)
from sklearn_looped.programmed.transformer.layers import Head, Unit
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import gate, make_head, masked_head

ON = ("scratch",)
Functions = Mapping[str, FleqFunction]


def opcode(name: str, functions: Functions) -> str:
    """Field of an opcode in the scratchpad; that of an instruction has an i before it."""
    return f"function.{name}" if name in functions else name


def n_function_layers(functions: Functions) -> int:
    """Layers behind the one that reads the operands, at least one."""
    return max([1, *(cost(function, 0.0).n_layers for function in functions.values())])


def function_registers(functions: Functions, n_entries: int) -> dict[str, int]:
    """Fields that the functions need, all of them real numbers, and their widths."""
    registers: dict[str, int] = {}
    for stages in map(stages_of, functions.values()):
        for s, stage in enumerate(stages):
            inner = s < len(stages) - 1
            if isinstance(stage, SigmoidSum):
                for field in (f"terms{s}", _weights(s, inner)):
                    registers[field] = max(stage.n_terms, registers.get(field, 0))
            if inner:
                registers[f"inner{s}"] = 1
    for name, function in functions.items():
        if isinstance(function, MatrixProduct | Transposition):
            registers[f"left.{name}"] = n_entries
        if isinstance(function, MatrixProduct):
            registers[f"right.{name}"] = n_entries
    return registers


def route_functions(fields: Layout, functions: Functions) -> list[Unit]:
    """Check domains, and begin with every function: in the layer that reads the operands."""
    at = fields.at
    units: list[Unit] = []
    for name, function in functions.items():
        op = at(opcode(name, functions))
        if isinstance(function, MatrixProduct | Transposition):
            for operand, register in (("va", f"left.{name}"), ("vb", f"right.{name}")):
                if register in fields:
                    for i, j in fields.pairs({operand: register}):
                        units += gate(op, {i: 1.0}, j)
        else:
            units += _check_domain(fields, op, function.domain)
            units += _start(fields, op, stages_of(function), 0, at("va"))
    return units


def continue_functions(fields: Layout, functions: Functions, s: int) -> list[Unit]:
    """Stage s of the compositions: in the s-th layer behind the one that reads the operands."""
    units: list[Unit] = []
    for name, function in functions.items():
        if len(stages := stages_of(function)) > s:
            op = fields.at(opcode(name, functions))
            units += _start(fields, op, stages, s, fields.at(f"inner{s - 1}"))
    return units


def function_heads(fields: Layout, functions: Functions, s: int) -> tuple[Head, ...]:
    """Sigmoids of stage s; for s = 0 the matrix functions, too."""
    heads = []
    if f"terms{s}" in fields:
        heads += [_sigmoid_term(fields, s, j) for j in range(fields.size(f"terms{s}"))]
    if s == 0:
        for name, function in functions.items():
            if isinstance(function, MatrixProduct):
                heads += _matrix_product(fields, name, function)
            elif isinstance(function, Transposition):
                pairs = [
                    (fields.at(f"left.{name}", i), fields.at("result", j))
                    for j, i in enumerate(function.order)
                ]
                heads.append(_self_read(fields, pairs))
    return tuple(heads)


def amplify(fields: Layout) -> Head:
    """Add numbers that may be subnormal, times `gain`, to the registers compared with zero."""
    copy = {"faint": "positive", "faint_fault": "fault"}
    return _self_read(fields, fields.pairs(copy), gain(fields.dtype))


def gain(dtype: torch.dtype) -> float:
    """Power of two that lifts subnormal numbers into the normal range.

    Numbers above one over it are normal anyhow.
    """
    return 2.0**100 if dtype == torch.float64 else 2.0**40


def _weights(s: int, inner: bool) -> str:
    return f"inner_weights{s}" if inner else f"weights{s}"


def _check_domain(fields: Layout, op: int, domain: tuple[float, float]) -> list[Unit]:
    """Fault > 0 where the operand is outside; `faint_fault` where it is so by little."""
    at, on, small = fields.at, fields.at("scratch"), 1 / gain(fields.dtype)
    units = []
    for bound, sign in zip(_rounded_inward(domain, fields.dtype), (1.0, -1.0), strict=True):
        beyond = {on: sign * bound, at("va"): -sign}
        further = {on: sign * bound - small, at("va"): -sign}
        units.append(Unit(beyond, {at("fault"): 1.0, at("faint_fault"): 1.0}, {op: 1.0}))
        units.append(Unit(further, {at("faint_fault"): -1.0}, {op: 1.0}))
    return units


def _rounded_inward(domain: tuple[float, float], dtype: torch.dtype) -> tuple[float, float]:
    kind = np.float64 if dtype == torch.float64 else np.float32
    low, high = kind(domain[0]), kind(domain[1])
    if float(low) < domain[0]:
        low = np.nextafter(low, kind(np.inf))
    if float(high) > domain[1]:
        high = np.nextafter(high, kind(-np.inf))
    return float(low), float(high)


def _start(fields: Layout, op: int, stages: tuple[Sum, ...], s: int, source: int) -> list[Unit]:
    """Units of stage s of one function, gated by its opcode; `source` holds the operand.

    Slopes are weights of the second matrix: behind a closed gate the operand may be so large
    that times a slope it overflows, and 0 times infinity is not 0.
    """
    stage, inner = stages[s], s < len(stages) - 1
    target = fields.at(f"inner{s}") if inner else fields.at("result")
    if isinstance(stage, ReluSum):
        on = fields.at("scratch")
        terms = zip(stage.knots, stage.coefficients, strict=True)
        return [
            Unit({op: 1.0}, {target: stage.constant}),
            *(Unit({source: 1.0, on: -knot}, {target: c}, {op: 1.0}) for knot, c in terms),
        ]
    columns = fields.index(f"terms{s}")
    weights = fields.index(_weights(s, inner))
    parameters = {target: stage.constant}
    parameters |= dict(zip(columns, stage.offsets, strict=False))
    parameters |= dict(zip(weights, stage.coefficients, strict=False))
    slopes = dict(zip(columns, stage.slopes, strict=False))
    return [Unit({op: 1.0}, slopes, {source: 1.0}), Unit({op: 1.0}, parameters)]


def _sigmoid_term(fields: Layout, s: int, j: int) -> Head:
    """Softmax over {argument, 0}, see `primitives.sigmoid`, of values for one or two registers."""
    pairs = [
        (fields.at(weights, j), target)
        for weights, target in (
            (_weights(s, False), fields.at("result")),
            (_weights(s, True), fields.at(f"inner{s}") if f"inner{s}" in fields else -1),
        )
        if weights in fields and j < fields.size(weights)
    ]
    score = {fields.at(f"terms{s}", j): 1.0}, fields.terms(scratch=1.0)
    return masked_head(fields, [score], pairs, ON, ON, sink=0.0)


def _matrix_product(fields: Layout, name: str, function: MatrixProduct) -> list[Head]:
    n, k, m = function.n_rows, function.n_inner, function.n_columns
    left, right = fields.index(f"left.{name}"), fields.index(f"right.{name}")
    heads = []
    for i in range(n):
        for column in range(m):
            scores = [({left[i * k + j]: 1.0}, {right[j * m + column]: 1.0}) for j in range(k)]
            pairs = [(fields.at("scratch"), fields.at("result", i * m + column))]
            heads.append(make_head(fields, scores, pairs, ON, ON, kind="linear"))
    return heads


def _self_read(fields: Layout, pairs: list[tuple[int, int]], scale: float = 1.0) -> Head:
    """Read of the scratchpad by itself, with weight 1."""
    on = fields.terms(scratch=1.0)
    return make_head(fields, [(on, on)], pairs, ON, ON, kind="linear", scale=scale)
