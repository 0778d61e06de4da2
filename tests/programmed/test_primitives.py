"""Each primitive against plain arithmetic, and each fast evaluation against the dense one."""

import itertools

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from sklearn_looped.programmed.transformer.certificate import certify
from sklearn_looped.programmed.transformer.evaluation import EVALUATIONS, LoopedTransformer
from sklearn_looped.programmed.transformer.layers import (
    FeedForward,
    Layer,
    make_layer,
    ordered_matmul,
)
from sklearn_looped.programmed.transformer.layout import Layout, sign_code, sign_value
from sklearn_looped.programmed.transformer.primitives import (
    add,
    argmin,
    broadcast,
    clear,
    code_sum,
    gate,
    greater,
    linear_product,
    masked_head,
    match_read,
    match_write,
    product,
    select,
    sigmoid,
)

TOKENS = Layout(scratch=2, null=1, memory=5)
FIELDS = Layout(
    one=1, scratch=1, null=1, memory=1, position=3, pointer=3, x=2, y=2, u=1, v=1, out=1
)


def bits(x):
    return x.view(torch.int64 if x.dtype == torch.float64 else torch.int32)


def tape(rng, layout=FIELDS, tokens=TOKENS, **values):
    """Random x, y, u, v on the memory; indicators and positions everywhere."""
    state = layout.pack(tokens.width, one=1)
    for kind in tokens.names:
        state[tokens[kind], layout[kind]] = 1
    memory = np.arange(tokens["memory"].start, tokens.width)
    state[tokens["memory"], layout["position"]] = torch.tensor(sign_code(memory, 3))
    for name in ("x", "y", "u"):
        shape = (len(memory), layout.size(name))
        state[tokens["memory"], layout[name]] = torch.tensor(rng.normal(size=shape))
    return state


def once(state, head=None, units=None, rows=("scratch",), adjacency=None):
    """State after one loop of one layer; all evaluations must agree in every bit."""
    layer = make_layer(FIELDS, () if head is None else [head], units or (), rows)
    transformer = LoopedTransformer([layer], TOKENS)
    states = [
        next(transformer.run(state, 1, evaluation=e, adjacency=adjacency)) for e in EVALUATIONS
    ]
    for other in states[1:]:
        assert torch.equal(bits(states[0]), bits(other))
    return states[0]


@pytest.mark.parametrize("target", [3, 5, 7])
def test_match_read_adds_the_row_named(target):
    state = tape(np.random.default_rng(target))
    state[0, FIELDS["pointer"]] = torch.tensor(sign_code(target, 3))
    head = match_read(FIELDS, "pointer", {"x": "y"}, rows=("scratch",), keys=("memory",))
    expected = state.clone()
    expected[0, FIELDS["y"]] += state[target, FIELDS["x"]]
    assert torch.equal(once(state, head), expected)


def test_match_write_adds_to_the_row_named_only():
    tokens_of_scratch = Layout(scratch=1, null=1, memory=6)
    layout = FIELDS
    state = tape(np.random.default_rng(0), tokens=tokens_of_scratch)
    state[0, layout["pointer"]] = torch.tensor(sign_code(4, 3))
    state[0, layout["x"]] = torch.tensor([1.5, -2.0])
    heads = [
        match_write(layout, "pointer", {"x": "y"}, rows=("memory",), keys=("scratch",), scale=s)
        for s in (-0.5, 3.0)
    ]
    transformer = LoopedTransformer([Layer(tuple(heads))], tokens_of_scratch)
    expected = state.clone()
    expected[4, layout["y"]] += torch.tensor([-0.75, 1.0])
    expected[4, layout["y"]] += torch.tensor([4.5, -6.0])
    for evaluation in EVALUATIONS:
        assert torch.equal(next(transformer.run(state, 1, evaluation=evaluation)), expected)


def test_graph_head_spreads_a_row_of_the_adjacency_matrix():
    state = tape(np.random.default_rng(0))
    state[:, FIELDS["v"]] = 0
    state[5, FIELDS["pointer"]] = torch.tensor(sign_code(3, 3))
    state[3, FIELDS["v"]] = 1
    adjacency = torch.rand(8, 8, dtype=torch.float64)
    options = {"rows": ("memory",), "keys": ("memory",), "kind": "graph"}
    head = match_read(FIELDS, "pointer", {"v": "out"}, **options)
    out = once(state, head, adjacency=adjacency)
    assert torch.equal(out[:, FIELDS.at("out")], adjacency[:, 5])
    with pytest.raises(ValueError, match="no adjacency matrix"):
        once(state, head)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("n_writers", [1, 2])
def test_graph_head_spreads_the_entry_of_the_row_named_to_its_neighbours(transposed, n_writers):
    tokens = Layout(scratch=n_writers, null=1, memory=7 - n_writers)
    rng = np.random.default_rng(0)
    state = tape(rng, tokens=tokens)
    state[0, FIELDS["pointer"]] = torch.tensor(sign_code(4, 3))
    state[0, FIELDS["x"]] = torch.tensor([1.5, -2.0])
    dense = torch.tensor(rng.random((8, 8)) * (rng.random((8, 8)) < 0.5))
    options = {"rows": ("memory",), "keys": ("scratch",), "kind": "graph"}
    head = match_write(FIELDS, "pointer", {"x": "y"}, transposed=transposed, **options)
    transformer = LoopedTransformer([Layer((head,))], tokens)
    expected = state.clone()
    column = dense[4] if transposed else dense[:, 4]
    expected[:, FIELDS["y"]] += column[:, None] * state[0, FIELDS["x"]]
    for adjacency in (dense, csr_array(dense.numpy())):
        for evaluation in EVALUATIONS:
            states = transformer.run(state, 1, evaluation=evaluation, adjacency=adjacency)
            assert torch.equal(next(states), expected)
    with pytest.raises(ValueError, match=r"shape \(7, 8\), but there are 8 tokens"):
        next(transformer.run(state, 1, adjacency=dense[:7]))


def test_soft_graph_head_sums_over_all_neighbours():
    rng = np.random.default_rng(0)
    state = tape(rng)
    adjacency = torch.tensor(rng.random((8, 8)) * (rng.random((8, 8)) < 0.5))
    scores = [({FIELDS.at("memory"): 1.0}, {FIELDS.at("u"): 0.5})]
    pairs, kinds = FIELDS.pairs({"x": "y"}), (("memory",), ("memory",))
    head = masked_head(FIELDS, scores, pairs, *kinds, kind="graph", transposed=True)
    out = once(state, head, adjacency=adjacency)
    mean = torch.softmax(0.5 * state[3:, FIELDS.at("u")], 0) @ state[3:, FIELDS["x"]]
    expected = adjacency[3:].sum(0)[:, None] * mean
    torch.testing.assert_close(out[:, FIELDS["y"]] - state[:, FIELDS["y"]], expected)


def test_broadcast_reaches_its_rows_only():
    tokens = Layout(scratch=1, null=1, memory=6)
    state = tape(np.random.default_rng(0), tokens=tokens)
    state[0, FIELDS["x"]] = torch.tensor([0.1, 0.2])
    head = broadcast(FIELDS, "scratch", {"x": "y"}, rows=("memory",))
    expected = state.clone()
    expected[2:, FIELDS["y"]] += state[0, FIELDS["x"]]
    transformer = LoopedTransformer([Layer((head,))], tokens)
    for evaluation in EVALUATIONS:
        assert torch.equal(next(transformer.run(state, 1, evaluation=evaluation)), expected)


@pytest.mark.parametrize("seed", range(5))
def test_argmin_reads_the_smallest_score(seed):
    state = tape(np.random.default_rng(seed))
    gap = 2.0**-40
    scores = state[TOKENS["memory"], FIELDS.at("u")]
    scores[3] = scores.min() - gap  # the closest gap that the certificate lets through
    head = argmin(
        FIELDS, FIELDS.terms(u=1.0), {"x": "y"}, row="scratch", keys=("memory",), bound=8, gap=gap
    )
    certify([Layer((head,))], FIELDS, {})
    winner = TOKENS["memory"].start + 3
    assert torch.equal(once(state, head)[0, FIELDS["y"]], state[winner, FIELDS["x"]])


def test_argmin_refuses_gaps_below_the_threshold():
    head = argmin(
        FIELDS, FIELDS.terms(u=1.0), {"x": "y"}, row="null", keys=("memory",), bound=8, gap=1e-16
    )
    with pytest.raises(ValueError, match="below the bound"):
        certify([Layer((head,))], FIELDS, {})


def test_argmin_takes_the_rounding_of_a_sum_off_its_margin():
    options = {"row": "null", "keys": ("memory",), "bound": 8, "gap": 2.0**-40}
    one = argmin(FIELDS, FIELDS.terms(u=1.0), {"x": "y"}, **options)
    two = argmin(FIELDS, FIELDS.terms(u=1.0, v=1.0), {"x": "y"}, **options)
    assert one.margin == 2.0**-40
    assert two.margin == 2.0**-40 - 2 * 8 * 2.0**-52


@pytest.mark.parametrize("z", [-800.0, -3.0, 0.0, 0.7, 30.0, 800.0])
def test_sigmoid_is_a_softmax_over_two_keys(z):
    state = tape(np.random.default_rng(0))
    state[0, FIELDS["u"]], state[0, FIELDS["v"]] = z, 1.0
    head = sigmoid(FIELDS, FIELDS.at("u"), FIELDS.at("v"), FIELDS.at("out"), row="scratch")
    state = torch.cat([state[:1], state[2:]])  # one scratch token
    state[2:, FIELDS["u"]] = 1e6  # other tokens may hold arguments of any size
    tokens = Layout(scratch=1, null=1, memory=5)
    transformer = LoopedTransformer([Layer((head,))], tokens)
    states = [next(transformer.run(state, 1, evaluation=e)) for e in EVALUATIONS]
    assert all(torch.equal(bits(states[0]), bits(s)) for s in states)
    expected = torch.sigmoid(torch.tensor(z, dtype=torch.float64))
    torch.testing.assert_close(states[0][0, FIELDS.at("out")], expected, rtol=1e-15, atol=1e-300)
    assert not states[0][1:, FIELDS.at("out")].any()


def test_linear_product_is_a_matrix_product():
    state = tape(np.random.default_rng(0))
    state[:2, FIELDS["y"]] = torch.tensor([[1.0, 2.0], [-1.0, 0.3]])
    state[TOKENS["memory"], FIELDS["y"]] = 0
    head = linear_product(FIELDS, "y", "x", {"u": "out"}, rows=("scratch",), keys=("memory",))
    memory = state[TOKENS["memory"]]
    scores = state[:2, FIELDS["y"]] @ memory[:, FIELDS["x"]].T
    out = once(state, head)[:2, FIELDS["out"]]
    torch.testing.assert_close(out, scores @ memory[:, FIELDS["u"]], rtol=1e-13, atol=1e-13)


CODES = Layout(one=1, scratch=1, null=1, position=3, a=4, b=4, c=4, z=1, w=1)


def units_on(values, units):
    """Scratch token with the fields `values` after a net of `units`, as plain arrays."""
    state = CODES.pack(2, one=1, scratch=[[1], [0]])
    for name, value in values.items():
        state[0, CODES[name]] = torch.as_tensor(value, dtype=torch.float64)
    out = state + FeedForward(CODES, units, ("scratch",))(state)
    assert torch.equal(out[1], state[1])  # other tokens stay as they are
    return {name: out[0, CODES[name]].numpy() for name in CODES.names}


@pytest.mark.parametrize(
    ("signs", "constant", "function"),
    [
        ({"a": 1}, 1, lambda a, b: a + 1),
        ({"a": -1}, 0, lambda a, b: -a),
        ({"a": 1, "b": 1}, 0, lambda a, b: a + b),
        ({"b": 1, "a": -1}, 0, lambda a, b: b - a),
        ({"a": -1, "b": -1}, 3, lambda a, b: 3 - a - b),
    ],
)
def test_code_sum_is_integer_arithmetic_modulo_16(signs, constant, function):
    units = code_sum(CODES, signs, constant, "c", "scratch")
    for a, b in itertools.product(range(16), repeat=2):
        out = units_on({"a": sign_code(a, 4), "b": sign_code(b, 4)}, units)
        assert sign_value(out["c"]) == function(a, b) % 16


@pytest.mark.parametrize("z", range(-4, 5))
def test_select_takes_then_inside_the_steps(z):
    steps = [(-1, 1), (2, -1)]  # -1 <= z < 2
    units = select(CODES, CODES.terms(z=1.0), steps, (-4, 4), "a", "b", "c", "scratch")
    out = units_on({"a": sign_code(5, 4), "b": sign_code(10, 4), "z": z}, units)
    assert sign_value(out["c"]) == (5 if -1 <= z < 2 else 10)


def test_add_clear_product_and_gate_are_exact():
    z, w, one = CODES.at("z"), CODES.at("w"), CODES.at("scratch")
    for x in np.random.default_rng(0).normal(size=20):
        assert units_on({"z": x}, clear(CODES, "z"))["z"] == 0
        assert units_on({"z": x, "w": 0.3}, add(CODES, {"z": "w"}, -2.0))["w"] == 0.3 - 2 * x
        out = units_on({"z": x, "w": 0.3}, product({z: 1.0}, {w: 1.0}, CODES.at("a")))
        assert out["a"][0] == x * 0.3
        assert units_on({"z": x}, gate(one, {z: 1.0}, w))["w"] == x
        assert units_on({"z": x}, gate(CODES.at("b"), {z: 1.0}, w))["w"] == 0


@pytest.mark.parametrize(("z", "expected"), [(-1.0, 0), (0.0, 0), (2.0**-20, 1), (3.7, 1)])
def test_greater(z, expected):
    one = CODES.at("scratch")
    units = greater(CODES.terms(z=1.0), CODES.terms(w=1.0), one, resolution=2.0**-20)
    assert units_on({"z": z}, units)["w"] == pytest.approx(expected, abs=1e-9)


def test_ordered_matmul_ignores_extra_zero_terms():
    generator = torch.Generator().manual_seed(0)
    left = torch.randn(5, 40, dtype=torch.float64, generator=generator)
    right = torch.randn(40, 3, dtype=torch.float64, generator=generator)
    right[::2] = 0
    kept = ordered_matmul(left[:1, 1::2], right[1::2])
    assert torch.equal(bits(ordered_matmul(left, right)[:1]), bits(kept))
    torch.testing.assert_close(ordered_matmul(left, right), left @ right)


def test_unknown_evaluation_and_wrong_tape_raise():
    transformer = LoopedTransformer([Layer(())], TOKENS)
    with pytest.raises(ValueError, match="evaluation='quick'"):
        transformer.run(torch.zeros(8, 3), 1, evaluation="quick")
    with pytest.raises(ValueError, match="Got 7 tokens, expected 8"):
        transformer.run(torch.zeros(7, 3), 1)
