"""The loop: one block applied again and again to its own output and the prompt."""

from collections.abc import Callable, Generator
from contextlib import nullcontext

import torch
from torch import Tensor

Body = Callable[[Tensor], Tensor]


def add_prompt(state: Tensor, prompt: Tensor) -> Tensor:
    """Input injection of Yang et al. 2024: the prompt is added to the state before every pass.

    Parameters
    ----------
    state, prompt : Tensor of shape (..., n_tokens, width)

    Returns
    -------
    Tensor of shape (..., n_tokens, width)
    """
    return state + prompt


def run_loop(
    block: Body,
    prompt: Tensor,
    n_loops: int,
    *,
    inject: Callable[[Tensor, Tensor], Tensor] | None = None,
    window: int | None = None,
    n_grad_loops: int | None = None,
    until: Callable[[Tensor], bool] | None = None,
) -> Generator[Tensor, Tensor | None, None]:
    r"""Apply one block again and again and yield the state after each pass.

    With injection the recursion is that of Yang et al. 2024, Section 4.1,

    .. math:: Z_1 = B(P), \qquad Z_{t+1} = B(\mathrm{inject}(Z_t, P)),

    and without it plain weight tying, :math:`Z_1 = B(P),\; Z_{t+1} = B(Z_t)`, the form of
    Giannou et al. 2023, where the prompt is the whole memory of the computer.

    Parameters
    ----------
    block : callable
        Maps a state to the next one, of the same shape. It does not receive the loop's number.
    prompt : Tensor
        The input tokens, of any shape that `block` takes.
    n_loops : int
        Cap on the number of passes, at least 1. The loop never runs longer.
    inject : callable, default=None
        ``inject(state, prompt)`` is what the block sees from the second pass on;
        `add_prompt`, or a normalised form of it. None: the state alone.
    window : int, default=None
        T of Yang et al. 2024, Eq. 1: only the states after the last passes are yielded. None: all.
    n_grad_loops : int, default=None
        Gradients flow through the last passes only (truncated backpropagation through time).
        None: through all.
    until : callable, default=None
        Called with each state once it has been yielded; the loop ends when it returns True.

    Yields
    ------
    state : Tensor
        The state after each pass, first to last. ``send(staying)``, a mask over the tokens of
        states (..., n_tokens, width), lets the other tokens leave: the passes that follow are
        computed for those that stay, which is the same only if tokens do not see one another.

    Raises
    ------
    ValueError
        If `n_loops` is below 1.

    References
    ----------
    L. Yang, K. Lee, R. Nowak, D. Papailiopoulos, "Looped Transformers are Better at Learning
    Learning Algorithms", ICLR 2024. A. Giannou et al., "Looped Transformers as Programmable
    Computers", ICML 2023.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.loop import add_prompt, run_loop
    >>> halve = lambda state: state / 2
    >>> [float(z) for z in run_loop(halve, torch.tensor(1.0), 3)]
    [0.5, 0.25, 0.125]
    >>> [float(z) for z in run_loop(halve, torch.tensor(1.0), 3, inject=add_prompt)]
    [0.5, 0.75, 0.875]
    >>> [float(z) for z in run_loop(halve, torch.tensor(1.0), 3, window=1)]
    [0.125]
    """
    if n_loops < 1:
        raise ValueError(f"Got n_loops={n_loops!r}, but a loop runs at least once.")
    n_silent = n_loops - (window or n_loops)
    n_frozen = n_loops - (n_grad_loops or n_loops)
    state: Tensor | None = None
    for loop in range(n_loops):
        with torch.no_grad() if loop < n_frozen else nullcontext():
            if state is None:
                state = block(prompt)
            else:
                state = block(state if inject is None else inject(state, prompt))
        if loop < n_silent:
            continue
        staying = yield state
        if staying is not None:
            prompt, state = prompt[..., staying, :], state[..., staying, :]
        if until is not None and until(state):
            return
