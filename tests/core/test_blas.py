"""Small reductions are left to one BLAS thread, and the process gets its threads back."""

import threading

import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_looped.core import tridiagonal
from sklearn_looped.core.blas import one_blas_thread
from sklearn_looped.core.tridiagonal import Tridiagonal


def blas_threads():
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


@pytest.fixture
def two_threads():
    with threadpool_limits(2, user_api="blas"):
        if set(blas_threads()) != {2}:
            pytest.skip("BLAS without threads of its own")
        yield


@pytest.mark.usefixtures("two_threads")
def test_kernels_are_reduced_on_one_thread(monkeypatch):
    seen, reduced = [], tridiagonal._reduced

    def watched(A):
        seen.extend(blas_threads())
        return reduced(A)

    monkeypatch.setattr(tridiagonal, "_reduced", watched)
    Tridiagonal.of(torch.eye(3, dtype=torch.float64)[None])
    assert set(seen) == {1}
    assert set(blas_threads()) == {2}


@pytest.mark.usefixtures("two_threads")
def test_threads_that_overlap_leave_the_limit_as_it_was():
    inside, done = threading.Event(), threading.Event()

    def first():
        with one_blas_thread():
            inside.set()
            done.wait(0.2)  # the other thread would enter now, if it could

    def second():
        inside.wait()
        with one_blas_thread():
            done.set()
            threads[0].join()  # the last one out

    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(blas_threads()) == {2}
