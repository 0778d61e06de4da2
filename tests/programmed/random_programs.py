"""Random programs for property tests; they never halt by themselves."""

import numpy as np

from sklearn_looped.programmed.machines.assembler import Program
from sklearn_looped.programmed.machines.fleq_assembler import OPERATIONS, Cell
from sklearn_looped.programmed.machines.fleq_assembler import Instruction as FleqInstruction
from sklearn_looped.programmed.machines.subleq import Instruction


def random_subleq(seed, n_memory, n_instructions, n_bits):
    rng = np.random.default_rng(seed)
    half = 1 << (n_bits - 1)
    a, b = rng.integers(n_memory, size=(2, n_instructions)).tolist()
    c = rng.integers(n_instructions, size=n_instructions).tolist()
    a[-1] = b[-1]  # the last instruction always jumps
    cells = rng.integers(-half, half, size=n_memory).tolist()
    return Program(tuple(map(Instruction, a, b, c)), tuple(cells), {}, {})


def random_fleq(seed, n_memory, n_instructions, n_entries):
    """Values stay small: scale and multiply with a sigmoid's result, pointers stay in range."""
    rng = np.random.default_rng(seed)
    pointers = rng.integers(n_memory // 2, size=n_memory).tolist()
    cells = tuple(Cell(tuple(rng.normal(size=n_entries).tolist()), p) for p in pointers)
    names = [*OPERATIONS, "sigmoid", "sigmoid", "subtract"]
    instructions = tuple(
        FleqInstruction(
            names[rng.integers(len(names))],
            *rng.integers(n_memory, size=4).tolist(),
            int(rng.integers(n_instructions - 1)),
        )
        for _ in range(n_instructions - 2)
    )
    jump = FleqInstruction("subtract", 0, 0, 1, 1, 0)
    return Program((*instructions, jump, jump._replace(flag=0)), cells, {}, {})
