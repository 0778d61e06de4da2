"""Plain-Python twins of the machines: what the transformers must compute, for tests."""

import math
from collections.abc import Iterator

from sklearn_looped.programmed.assembler import Program


def interpret_subleq(program: Program, n_bits: int | None = None) -> Iterator[tuple[int, list[int]]]:
    """Run a SUBLEQ program in Python integers.

    Parameters
    ----------
    program : Program
    n_bits : int or None, default=None
        Wrap cells as two's complement of so many bits; None: unbounded integers.

    Yields
    ------
    pc : int
        Number of the next instruction.
    memory : list of int
        The same list every time; it goes on for ever, as the machine does at its end.

    Examples
    --------
    >>> from sklearn_looped.programmed.interpreter import interpret_subleq
    >>> from sklearn_looped.programmed.subleq import assemble_subleq
    >>> steps = interpret_subleq(assemble_subleq("x: .word 5\\n subleq #2, x"))
    >>> next(steps)
    (1, [3, 2, 0, -1])
    """
    memory, pc = list(program.cells), 0
    half = 0 if n_bits is None else 1 << (n_bits - 1)
    while True:
        a, b, c = program.instructions[pc]
        value = memory[b] - memory[a]
        if half:
            value = (value + half) % (2 * half) - half
        memory[b] = value
        pc = c if value <= 0 else pc + 1
        yield pc, memory
