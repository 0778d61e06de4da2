"""Many SUBLEQ programs side by side: one pass of the loop body executes an instruction of each."""

from collections.abc import Iterable

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from sklearn_looped.core.warning import warn_user
from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.faults import Fault
from sklearn_looped.programmed.machines.run_result import RunResult
from sklearn_looped.programmed.machines.state_reader import SCRATCH
from sklearn_looped.programmed.machines.subleq import SubleqMachine

Stopped = tuple[Tensor, int, Fault | None]  # state, loops, fault


def run_many(
    machine: SubleqMachine, programs: Iterable[Program | str], max_loops: int = 100_000
) -> list[RunResult]:
    r"""Run programs on one machine, a tape each, in one loop.

    Every tape is a sequence of its own, and the weights are the same for all, so that each program
    ends as `machine.run` would leave it, bit by bit. The host does for each what it does there;
    tapes whose programs have stopped leave the loop as soon as they are half of those in it.

    Parameters
    ----------
    machine : SubleqMachine
        Not one of the classes made from it, which have other heads than matches.
    programs : iterable of Program or str
        Assembled programs, or their texts.
    max_loops : int, default=100_000
        Cap on the instructions executed of each program.

    Returns
    -------
    results : list of RunResult
        One a program; of one that met a fault with the fault, as ``on_fault="return"`` has it.

    Raises
    ------
    ValueError
        If the machine is another one, a program stands by itself or does not fit the machine, or
        `max_loops` is below 1.
    MemoryError
        If a tape needs more memory than there is.

    Warns
    -----
    ConvergenceWarning
        If programs have not halted after `max_loops` loops; their states are kept.

    Examples
    --------
    >>> from sklearn_looped import SubleqMachine
    >>> from sklearn_looped.programmed.machines.many import run_many
    >>> machine = SubleqMachine(n_memory=8, n_instructions=12)
    >>> program = machine.assemble("x: .word 0\n y: .word 22\n add x, y")
    >>> results = run_many(machine, [program.with_data(x=x) for x in (20, 30)])
    >>> [result["y"] for result in results]
    [42, 52]
    """
    if type(machine) is not SubleqMachine:
        raise ValueError(
            f"Got a {type(machine).__name__}, but run_many takes a SubleqMachine; run the programs "
            "of other machines one after another."
        )
    if isinstance(programs, str | Program):
        raise ValueError("Got a single program, but run_many takes several; put it in a list.")
    assembled = [machine._as_program(each) for each in programs]
    if not assembled:
        return []
    tapes = torch.stack([machine.load(program) for program in assembled])
    machine._check_run(tapes[0], max_loops, "return")
    ends = _follow(machine, assembled, tapes, max_loops)
    results = [machine._result(program, *end) for program, end in zip(assembled, ends, strict=True)]
    n_running = sum(result.fault is None and not result.halted for result in results)
    if n_running:
        warn_user(
            f"{n_running} of {len(results)} programs have not halted after {max_loops} loops; "
            "raise max_loops, or continue from result.state.",
            ConvergenceWarning,
        )
    return results


def _follow(
    machine: SubleqMachine, programs: list[Program], tapes: Tensor, max_loops: int
) -> list[Stopped]:
    """Where each program stops."""
    halts = np.array([program.halt for program in programs]) + machine.tokens["program"].start
    ends = machine.code.encode(halts)
    counter, overflow = machine.fields["pc"], machine.fields.at("overflow")
    found: dict[int, Stopped] = {}
    inside, n_loops = np.arange(len(programs)), 0
    before = tapes.numpy()[:, SCRATCH, counter].copy()
    for number in np.flatnonzero((before == ends).all(axis=1)).tolist():
        found[number] = tapes[number], 0, None
    while len(found) < len(programs) and n_loops < max_loops:
        running = np.array([number not in found for number in inside.tolist()])
        inside, tapes, before = inside[running], tapes[torch.from_numpy(running)], before[running]
        n_inside, known = len(inside), len(found)
        loop = machine.transformer.run(tapes, max_loops - n_loops, evaluation="fast")
        for n_loops, tapes in enumerate(loop, n_loops + 1):  # noqa: B020
            scratch = tapes.numpy()[:, SCRATCH]
            stopped = (scratch[:, counter] == ends[inside]).all(axis=1)
            if machine.overflow == "trap":
                stopped |= scratch[:, overflow] != 0
            for place in np.flatnonzero(stopped).tolist():
                number = int(inside[place])
                if number in found:
                    continue
                state, fault = tapes[place], None
                if not machine._is_sound(state):
                    parts = programs[number], state, before[place], n_loops
                    state, fault = machine._stopped(*parts)
                found[number] = state.clone(), n_loops, fault
            before = scratch[:, counter].copy()
            if 2 * (len(found) - known) >= n_inside:
                break
    for place, number in enumerate(inside.tolist()):
        found.setdefault(number, (tapes[place], n_loops, None))
    return [found[number] for number in range(len(programs))]
