"""The dense evaluation is the textbook transformer, and the fast ones keep to its contract."""

import pytest
import torch
from random_programs import random_fleq, random_subleq

from sklearn_looped import FleqMachine, SubleqMachine
from sklearn_looped.programmed.evaluation import EVALUATIONS


def textbook(layer, X):
    """Softmax attention and feed-forward as written in the papers, with plain matrix products."""
    state = X.clone()
    for head in layer.heads:
        scores = (X @ head.Wq.weight) @ (X @ head.Wk.weight).T
        values = X @ head.Wv.weight
        state[:, list(head.targets)] += torch.softmax(head.temperature * scores, -1) @ values
    net = layer.feed_forward
    hidden = torch.relu(state @ net.W1.weight)
    if net.G is not None:
        hidden = hidden * (state @ net.G.weight)
    return state + hidden @ net.W2.weight


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("cells", ["bits", "integer"])
def test_dense_integer_machines_equal_the_textbook_formula_in_every_bit(dtype, cells):
    machine = SubleqMachine(8, 20, n_bits=12, cells=cells, dtype=dtype)
    expected = machine.load(random_subleq(0, 8, 20, 4))
    for state in machine.transformer.run(expected, 30):
        for layer in machine.transformer.layers:
            expected = textbook(layer, expected)
        assert torch.equal(state, expected)


def test_dense_real_machine_equals_the_textbook_formula_up_to_rounding():
    machine = FleqMachine(10, 20, 3)
    state = machine.load(random_fleq(0, 10, 20, 3))
    for _ in range(30):
        for layer in machine.transformer.layers:
            expected = textbook(layer, state)
            state = layer(state)
            torch.testing.assert_close(state, expected, rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_the_tape_is_not_changed(evaluation):
    machine = SubleqMachine(8, 20)
    tape = machine.load(random_subleq(0, 8, 20, 4))
    before = tape.clone()
    for _ in machine.transformer.run(tape, 5, evaluation=evaluation):
        pass
    assert torch.equal(tape, before)


@pytest.mark.parametrize("evaluation", EVALUATIONS)
def test_runs_can_be_cut_anywhere(evaluation):
    machine = SubleqMachine(8, 20)
    tape = machine.load(random_subleq(1, 8, 20, 4))
    *_, whole = machine.transformer.run(tape, 20, evaluation=evaluation)
    *_, half = machine.transformer.run(tape, 7, evaluation=evaluation)
    *_, rest = machine.transformer.run(half, 13, evaluation=evaluation)
    assert torch.equal(whole, rest)


def test_columns_that_no_layer_writes_stay_as_they_are():
    machine = SubleqMachine(8, 20)
    tape = machine.load(random_subleq(1, 8, 20, 4))
    *_, state = machine.transformer.run(tape, 20)
    for kind, columns in machine.transformer.changing().items():
        rows = machine.tokens[kind]
        fixed = [j for j in range(machine.fields.width) if j not in columns]
        assert torch.equal(state[rows][:, fixed], tape[rows][:, fixed])
    assert not machine.transformer.changing()["program"]
