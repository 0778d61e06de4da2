import itertools

import pytest
import torch

from sklearn_looped.core.loop import add_prompt, run_loop

W = torch.tensor([[0.5, -0.2], [0.1, 0.3]])


def block(state):
    return torch.tanh(state @ W)


@pytest.mark.parametrize("n_loops", [1, 2, 7])
def test_weight_tying_is_nested_application(n_loops):
    prompt = torch.tensor([1.0, 2.0])
    expected = prompt
    for _ in range(n_loops):
        expected = block(expected)
    *_, last = run_loop(block, prompt, n_loops)
    assert torch.equal(last, expected)


def test_injection_adds_the_prompt_before_every_pass_but_the_first():
    prompt = torch.tensor([1.0, 2.0])
    first = block(prompt)
    second = block(first + prompt)
    third = block(second + prompt)
    states = list(run_loop(block, prompt, 3, inject=add_prompt))
    assert all(torch.equal(a, b) for a, b in zip(states, (first, second, third), strict=True))


@pytest.mark.parametrize("inject", [None, add_prompt])
def test_tokens_that_leave_do_not_show_in_those_that_stay(inject):
    prompt = torch.tensor([[[1.0, -1.0], [0.5, 2.0], [-3.0, 0.1]]])
    whole = list(run_loop(block, prompt, 4, inject=inject))
    states = run_loop(block, prompt, 4, inject=inject)
    first, second = next(states), next(states)
    third = states.send(torch.tensor([True, False, True]))
    fourth = states.send(torch.tensor([False, True]))
    found, expected = (first, second, third, fourth), (slice(3), slice(3), [0, 2], [2])
    for one, state, rows in zip(found, whole, expected, strict=True):
        torch.testing.assert_close(one, state[:, rows])


def test_a_window_yields_the_last_states_only():
    whole = list(run_loop(block, torch.ones(2), 5, inject=add_prompt))
    for window in (1, 3, 9):
        last = list(run_loop(block, torch.ones(2), 5, inject=add_prompt, window=window))
        assert all(torch.equal(a, b) for a, b in zip(last, whole[-window:], strict=True))


def test_until_ends_the_loop_after_the_state_it_accepts():
    states = list(run_loop(lambda z: z + 1, torch.tensor(0.0), 100, until=lambda z: bool(z >= 4)))
    assert [float(z) for z in states] == [1, 2, 3, 4]


def test_the_cap_holds_when_until_never_accepts():
    assert len(list(run_loop(block, torch.ones(2), 6, until=lambda _: False))) == 6


def test_states_are_computed_on_demand():
    calls = itertools.count()

    def counting(state):
        next(calls)
        return state

    states = run_loop(counting, torch.ones(1), 10)
    next(states), next(states)
    assert next(calls) == 2


def test_gradient_flows_through_every_pass():
    weight = torch.tensor(0.5, requires_grad=True)
    *_, last = run_loop(lambda z: weight * z, torch.tensor(1.0), 3)
    last.backward()
    assert weight.grad == pytest.approx(3 * 0.5**2)


def test_truncated_gradients_flow_through_the_last_passes_only():
    weight = torch.tensor(0.5, requires_grad=True)
    states = list(run_loop(lambda z: weight * z, torch.tensor(1.0), 3, n_grad_loops=2))
    assert [state.requires_grad for state in states] == [False, True, True]
    states[-1].backward()
    assert states[-1] == 0.5**3
    assert weight.grad == pytest.approx(2 * 0.5**2)
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("n_loops", [0, -1])
def test_fewer_than_one_loop_is_refused(n_loops):
    with pytest.raises(ValueError, match=f"n_loops={n_loops}"):
        next(run_loop(block, torch.ones(2), n_loops))
