"""Calls side by side give what they give one after another, and leave torch's threads alone."""

import threading

import numpy as np
import pytest
import torch

from sklearn_looped import LoopedICLClassifier, LoopedICLRegressor
from sklearn_looped.core.threads import in_threads
from sklearn_looped.learned.inference import members


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("n_calls", "most", "share"), [(2, None, 2), (9, 3, 1), (3, 1, 4), (1, 9, 4)]
)
def test_calls_share_the_threads_of_torch(four_threads, n_calls, most, share):
    def call(number):
        return number, torch.get_num_threads(), torch.is_grad_enabled(), threading.get_ident()

    found = list(in_threads([lambda n=n: call(n) for n in range(n_calls)], most))
    assert [number for number, *_ in found] == list(range(n_calls))
    assert {(threads, grad) for _, threads, grad, _ in found} == {(share, False)}
    assert (threading.get_ident() in {where for *_, where in found}) == (share == 4)
    assert torch.get_num_threads() == 4
    later = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [4]


def test_calls_within_calls_run_in_the_same_thread(four_threads):
    def outer():
        inner = list(in_threads([threading.get_ident] * 3))
        return {*inner, threading.get_ident()}

    assert all(len(idents) == 1 for idents in in_threads([outer] * 4))


def test_threads_that_start_meanwhile_have_all_of_torchs_threads(four_threads):
    started, end, found = threading.Barrier(3, timeout=60), threading.Event(), []

    def wait():
        started.wait()
        end.wait(60)

    def start():
        found.append(torch.get_num_threads())
        list(in_threads([end.set, first.join]))
        found.append(torch.get_num_threads())

    first = threading.Thread(target=lambda: list(in_threads([wait, wait])))
    first.start()
    started.wait()
    for target in (start, lambda: found.append(torch.get_num_threads())):
        thread = threading.Thread(target=target)
        thread.start()
        thread.join(60)
    assert [*found, torch.get_num_threads()] == [4, 4, 4, 4]


def test_two_calls_run_at_a_time(four_threads):
    barrier = threading.Barrier(2, timeout=60)
    assert sorted(in_threads([barrier.wait, barrier.wait])) == [0, 1]


def test_an_error_passes_on(four_threads):
    def fail():
        raise ValueError("no result")

    with pytest.raises(ValueError, match="no result"):
        list(in_threads([fail, fail, int]))
    assert torch.get_num_threads() == 4


@pytest.mark.parametrize("together", [True, False])
def test_predictions_do_not_depend_on_threads(four_threads, monkeypatch, rng, together):
    if not together:
        monkeypatch.setattr(members, "PAIRS", 0)
    X = rng.normal(size=(50, 4))
    y, labels = X[:, 0] + np.sin(X[:, 1]), (X[:, 0] > 0).astype(int)
    found = []
    for n_threads in (4, 1):
        torch.set_num_threads(n_threads)
        regressor = LoopedICLRegressor().fit(X[:40], y[:40])
        classifier = LoopedICLClassifier().fit(X[:40], labels[:40])
        found.append((regressor.predict(X[40:]), classifier.predict_proba(X[40:])))
    for several, one in zip(*found, strict=True):
        np.testing.assert_allclose(several, one, rtol=1e-4, atol=1e-4)
