"""Runs of SUBLEQ programs on a machine that just holds them."""

import itertools
from functools import partial

from sklearn_looped import SubleqMachine
from sklearn_looped.programmed.machines.interpreter import interpret_subleq
from sklearn_looped.programmed.machines.paper_subleq import PaperSubleqMachine
from sklearn_looped.programmed.machines.subleq import assemble_subleq

KINDS = (SubleqMachine, partial(SubleqMachine, cells="integer"), PaperSubleqMachine)


def fitting(program, kind=SubleqMachine, **options):
    return kind(len(program.cells), len(program.instructions), **options)


def run_both(text, n_bits=16, **data):
    """Result of the machine, after it was compared with the interpreter's."""
    program = assemble_subleq(text).with_data(**data)
    result = fitting(program, n_bits=n_bits).run(program)
    if result.n_loops:
        steps = itertools.islice(interpret_subleq(program), result.n_loops - 1, None)
        assert (result.pc, result.cells) == next(steps)
    assert result.halted
    return result
