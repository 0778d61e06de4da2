"""Fields, instructions and layers of the graph machine: softmax and graph heads, ReLU units."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from sklearn_looped.programmed.algorithms.csgraph.search import NO_NODE
from sklearn_looped.programmed.transformer.codes import CircleCode
from sklearn_looped.programmed.transformer.layers import Layer, Terms, Unit, make_layer
from sklearn_looped.programmed.transformer.layout import Layout
from sklearn_looped.programmed.transformer.primitives import (
    add,
    argmin,
    broadcast,
    clear,
    gated,
    match_read,
    match_write,
    turn,
)

GAP = 2.0**-44  # of the scores of two nodes
CLOSED = 4.0  # added to the score of a closed node, and the score of one that is not reached
UNREACHED = 2.0  # value of a node before anything is known of it
STEEP = 2.0**256  # above the inverse of the smallest difference of two values
REAL = 8.0  # above scores, values and what is added to them
SCRATCH, NODE = ("scratch",), ("node",)


class Instruction(NamedTuple):
    """What the tape says about one search; flags are 0 or 1.

    Parameters
    ----------
    start, slope : float
        The clock at the first pass, and what it moves on by at each. A node offers its neighbours
        the clock as their new value; they take it if it is below their own.
    weigh, carry : int
        Whether the offer counts the length of the edge, and the node's own value.
    fix, floor : int and float
        Whether a node that is taken gets the value `floor`, below all offers.
    twice : int
        Whether a node is taken twice, before and after its neighbours.
    naming : int
        Whether nodes hand on a name; one that has none opens a new component.
    out, inward : int
        Whether neighbours are those that edges lead to, those that edges come from, or both.
    halt : int
        The end of a program.
    """

    start: float = 0.0
    slope: float = 0.0
    weigh: int = 0
    carry: int = 0
    fix: int = 0
    floor: float = 0.0
    twice: int = 0
    naming: int = 0
    out: int = 1
    inward: int = 0
    halt: int = 0


HALT = Instruction(out=0, halt=1)


def instructions(n: int) -> dict[str, Instruction]:
    """Instructions by name, for codes of n tokens."""
    later, deeper = 2 * n * GAP, -2 * n * GAP
    fixed: dict[str, Any] = {"fix": 1, "floor": -0.5}
    name: dict[str, Any] = {"start": -1.0, "fix": 1, "floor": -1.0, "naming": 1}
    return {
        "breadth": Instruction(slope=later, **fixed),
        "depth": Instruction(start=2 * n**2 * GAP, slope=deeper, **fixed),
        "shortest": Instruction(weigh=1, carry=1),
        "span": Instruction(weigh=1, **fixed),
        "finish": Instruction(start=2 * n * (2 * n + 1) * GAP, slope=deeper, twice=1, **fixed),
        "strong": Instruction(out=0, inward=1, **name),
        "weak": Instruction(inward=1, **name),
    }


FLAGS = ("weigh", "carry", "fix", "twice", "naming", "out", "inward", "halt")
SENT = ("weigh", "carry", "fix", "twice", "naming", "floor", "fresh")  # to all nodes, as they are
SENT_OF_NODE = ("left", "chosen", "base", "name", "clock")


def machine_fields(code: CircleCode) -> Layout:
    """Fields of a token: a constant number, whatever the number of nodes.

    Indicators stand before numbers, so that `gated` is exact.
    """
    kinds = ("one", "scratch", "null", "node")
    bits = ("shut", "entered", "hit", "relax", "keep", "absent", "left", "settle")
    control = ("fresh", "stop", "unnamed", "spent")
    whole = ("index", "parent", "step", "label", "chosen", "time", "now", "name", "count")
    node = ("score", "value", "old", "link", "length", "size", "candidate", "gain", "grid")
    real = ("start", "slope", "drift", "clock", "floor", "best", "base")
    codes = ("position", "pointer", "pc", "here", "next", "turn")
    program = (f"i{name}" for name in Instruction._fields)  # as the instructions' tokens hold it
    ones = (*kinds, *FLAGS, *bits, *control, *whole, *node, *real, *program)
    widths = dict.fromkeys(ones, 1) | dict.fromkeys(codes, code.width)
    return Layout(**widths).with_code(code)


def machine_bounds(n: int) -> dict[str, float]:
    """Largest absolute values of the fields that hold integers."""
    kinds = ("one", "scratch", "null", "node", *FLAGS)
    bits = ("shut", "entered", "hit", "relax", "keep", "left", "settle", "fresh", "unnamed")
    numbers = ("index", "label", "chosen", "name", "count")
    times = ("step", "time", "now")
    bounds = dict.fromkeys((*kinds, *bits), 1.0) | dict.fromkeys(numbers, float(n))
    return bounds | dict.fromkeys(times, 2.0 * n) | {"parent": max(n, -NO_NODE)}


def machine_layers(fields: Layout, code: CircleCode) -> list[Layer]:
    """Seven layers: take and fetch; decide; read edges; offer; compare; accept; update."""
    copy = {"index": "chosen", "value": "base", "label": "name", "entered": "left"}
    copy |= {"position": "pointer", "score": "best", "shut": "spent"}
    score = fields.terms(score=1.0, shut=CLOSED)
    take = argmin(fields, score, copy, "scratch", NODE, bound=2 * CLOSED, gap=GAP)
    instruction = {f"i{name}": name for name in Instruction._fields}
    fetched = {"position": "here", **instruction}
    fetch = match_read(fields, "pc", fetched, SCRATCH, ("program",))
    hit = match_write(fields, "pointer", {"scratch": "hit"}, NODE, SCRATCH)
    sent = {name: name for name in (*SENT, *SENT_OF_NODE)} | {"time": "now"}
    edges = [
        match_write(
            fields, "pointer", {way: "link"}, NODE, SCRATCH, kind="graph", transposed=way == "out"
        )
        for way in ("out", "inward")
    ]
    round_off = match_read(fields, "next", {"position": "turn"}, SCRATCH, ("program",))
    read = [*edges, hit, broadcast(fields, "scratch", sent, NODE), round_off]
    everywhere, tall = SCRATCH + NODE, code.n_codes
    return [
        make_layer(fields, [take, fetch], _look(fields, code), SCRATCH),
        make_layer(fields, (), _decide(fields, tall), SCRATCH),
        make_layer(fields, read, _edge(fields), everywhere),
        make_layer(fields, (), _offer(fields), NODE),
        make_layer(fields, (), _compare(fields, tall), NODE),
        make_layer(fields, (), _accept(fields), NODE),
        make_layer(fields, (), _update(fields, tall), everywhere),
    ]


def _look(fields: Layout, code: CircleCode) -> list[Unit]:
    """Stop is 0 if the node taken is open, and else at least 1; the next code; no name yet."""
    return [
        Unit(fields.terms(scratch=-2, spent=CLOSED, best=1), fields.terms(stop=1)),
        Unit(fields.terms(halt=1), fields.terms(stop=1)),
        Unit(fields.terms(scratch=1, name=-1), fields.terms(unnamed=1)),
        *turn(fields, "here", "next", code.step),
        *clear(fields, "pc", "best", "spent"),
    ]


def _decide(fields: Layout, tall: int) -> list[Unit]:
    """Drop the pointer to a node that is not open; ``fresh``: go on to the next instruction."""
    going, unnamed = {"stop": -1}, {"unnamed": 1, "naming": 1, "stop": -1}
    pointer = [
        unit
        for column in fields.index("pointer")
        for unit in gated(fields, going, {column: 1.0}, column, 2.0)
    ]
    name = gated(fields, unnamed, fields.terms(one=1, count=1), fields.at("name"), 2.0 * tall)
    return [
        *clear(fields, "pointer"),
        *pointer,
        Unit(fields.terms(scratch=1, halt=-1), fields.terms(fresh=1)),
        Unit(fields.terms(scratch=1, stop=-1), fields.terms(fresh=-1)),
        *name,
        Unit(fields.terms(one=-1, naming=1, unnamed=1, stop=-1), fields.terms(count=1)),
        *add(fields, {"start": "clock"}),
        *clear(fields, "start"),
        *add(fields, {"drift": "clock"}),
    ]


def _edge(fields: Layout) -> list[Unit]:
    link = fields.at("link")
    return [
        Unit({link: 1.0}, fields.terms(length=1, size=1)),
        Unit({link: -1.0}, fields.terms(size=1)),  # an edge of length 0 stands there as -1
        Unit(fields.terms(one=-1, hit=1, fix=1), fields.terms(settle=1)),
    ]


def _offer(fields: Layout) -> list[Unit]:
    candidate = fields.at("candidate")
    return [
        *add(fields, {"clock": "candidate"}),
        *gated(fields, {"weigh": 1}, fields.terms(length=1), candidate, REAL),
        *gated(fields, {"carry": 1}, fields.terms(base=1), candidate, REAL),
        Unit(fields.terms(node=1, size=-STEEP), fields.terms(absent=1)),
    ]


def _compare(fields: Layout, tall: int) -> list[Unit]:
    """Gain of the offer, where there is an edge; the offer on the grid; the value so far."""
    grid = fields.terms(node=2.0**52 * tall * GAP)  # its last bit is tall * GAP
    return [
        Unit(fields.terms(hit=-REAL, absent=-REAL, value=1, candidate=-1), fields.terms(gain=1)),
        Unit({**grid, fields.at("candidate"): 1.0}, fields.terms(grid=1)),
        Unit(grid, fields.terms(grid=-1)),
        *add(fields, {"value": "old"}),
    ]


def _accept(fields: Layout) -> list[Unit]:
    return [
        Unit(fields.terms(node=1), fields.terms(relax=1)),
        Unit(fields.terms(node=1, gain=-STEEP), fields.terms(relax=-1, keep=1)),
        *clear(fields, "value"),
    ]


def _update(fields: Layout, tall: int) -> list[Unit]:
    """All that a pass changes, then the registers are cleared."""

    def where(target: str, bound: float, terms: Terms, **on: int) -> list[Unit]:
        return gated(fields, on, terms, fields.at(target), bound)

    def take(target: str, source: str, bound: float, **on: int) -> list[Unit]:
        return where(target, bound, fields.terms(**{source: 1, target: -1}), **on)

    terms, whole = fields.terms, 4.0 * max(tall, 2**14)
    offered = terms(grid=1, index=GAP, score=-1)
    left = terms(clock=1 / (2 * tall), score=-1)
    forget: tuple[str, ...] = (
        *FLAGS,
        *SENT,
        *SENT_OF_NODE,
        "hit",
        "relax",
        "keep",
        "absent",
        "settle",
        "stop",
    )
    forget += ("unnamed", "now", "slope", "old", "link", "length", "size", "candidate", "gain")
    return [
        *where("value", REAL, terms(candidate=1), relax=1),
        *where("value", REAL, terms(old=1), keep=1, settle=-1),
        *where("value", REAL, terms(floor=1), settle=1),
        *where("score", REAL, offered, relax=1),
        *where("score", REAL, terms(node=-GAP, index=-2 * GAP), relax=1, twice=1),
        *take("score", "clock", REAL, hit=1, twice=1, left=-1),
        *where("score", REAL, left, hit=1, twice=1, left=1),
        *take("parent", "chosen", whole, relax=1),
        *take("step", "now", whole, hit=1),
        *take("label", "name", whole, relax=1, naming=1),
        *take("label", "name", whole, hit=1, naming=1),
        Unit(terms(hit=1, twice=-1), terms(shut=1)),
        Unit(terms(one=-2, twice=1, hit=1, left=1), terms(shut=1)),
        Unit(terms(one=-1, shut=1, relax=1), terms(shut=-1)),
        Unit(terms(one=-1, shut=1, fresh=1), terms(shut=-1)),
        Unit(terms(one=-1, twice=1, hit=1, left=-1), terms(entered=1)),
        *_advance(fields, whole),
        *clear(fields, *dict.fromkeys(forget), "grid", "pointer", "here", "next", "turn"),
    ]


def _advance(fields: Layout, whole: float) -> list[Unit]:
    """Scratchpad: time and clock go on, or begin anew with the next instruction."""
    units = [
        Unit(fields.terms(scratch=1, stop=-1), fields.terms(time=1)),
        *gated(fields, {"fresh": 1}, fields.terms(time=-1), fields.at("time"), whole),
        *gated(fields, {"stop": -1}, fields.terms(slope=1), fields.at("drift"), REAL),
        *gated(fields, {"fresh": 1}, fields.terms(drift=-1), fields.at("drift"), REAL),
    ]
    on: Mapping[str, dict[str, int]] = {"here": {"fresh": -1}, "turn": {"fresh": 1}}
    for name, condition in on.items():
        for source, target in fields.pairs({name: "pc"}):
            units += gated(fields, condition, {source: 1.0}, target, 2.0)
    return units
