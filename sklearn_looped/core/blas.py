"""One thread for small products and factors of numpy and scipy.

OpenBLAS gives two threads to reductions of some hundred rows, and each waits for the other in a
busy loop: where other processes have the cores, a call of milliseconds takes seconds.
"""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController

_lock = threading.RLock()


@functools.cache
def _controller() -> ThreadpoolController:
    """Found once: the search through the loaded libraries takes milliseconds."""
    return ThreadpoolController().select(user_api="blas")


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS of numpy and scipy to one thread; torch keeps its own.

    The limit is the process's, so that one thread at a time is inside: of two that overlap, the
    last one out would restore the limit of the other.

    Examples
    --------
    >>> from threadpoolctl import threadpool_info
    >>> from sklearn_looped.core.blas import one_blas_thread
    >>> with one_blas_thread():
    ...     {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}
    {1}
    """
    with _lock, _controller().limit(limits=1):
        yield
