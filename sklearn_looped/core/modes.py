"""Predictions do not depend on the modes that a caller has set in torch."""

import inspect
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

import torch

Function = TypeVar("Function", bound=Callable[..., Any])
AUTOCAST = ("cpu", "cuda")  # devices for which a caller may have enabled autocast


@contextmanager
def own_modes() -> Iterator[None]:
    """Compute with the modes that torch has after import, in this thread and without gradients.

    Autocast would round matrix products to bfloat16, a default device would put new tensors
    elsewhere, and tensors made in inference mode could not be changed later. The default dtype
    belongs to the whole process and is not changed, so code inside this context states its dtypes.
    ``torch.set_float32_matmul_precision`` is not changed either: with it a user trades precision
    for speed on purpose.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.modes import own_modes
    >>> with torch.autocast("cpu"), own_modes():
    ...     (torch.ones(2, 2) @ torch.ones(2, 2)).dtype
    torch.float32
    """
    with ExitStack() as stack:
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.no_grad())
        for device in AUTOCAST:
            if torch.is_autocast_enabled(device):
                stack.enter_context(torch.autocast(device, enabled=False))
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        yield


def disturbed() -> bool:
    """Whether a caller has set a mode that `own_modes` resets, other than gradients."""
    return (
        torch.is_inference_mode_enabled()
        or any(map(torch.is_autocast_enabled, AUTOCAST))
        or torch.get_default_device().type != "cpu"
    )


def in_own_modes(function: Function) -> Function:
    """Decorate a function or a generator function to run in `own_modes`.

    A generator runs in these modes only while it computes, not while its caller uses its values.
    """
    if not inspect.isgeneratorfunction(function):

        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with own_modes():
                return function(*args, **kwargs)

        return cast(Function, call)

    @wraps(function)
    def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, None]:
        run, sent = function(*args, **kwargs), None
        try:
            while True:
                with own_modes():
                    try:
                        value = run.send(sent)
                    except StopIteration:
                        return
                sent = yield value
        finally:
            run.close()

    return cast(Function, generate)
