"""Example programs, in the assembly of the two machines.

Integer programs for `SubleqMachine` and programs with vectors, pointers and real numbers for
`FleqMachine`. Data are given by label, ``PROGRAM`` assembled, then ``with_data(x=3)``.

Examples
--------
>>> from sklearn_looped import SubleqMachine
>>> from sklearn_looped.programmed.machines.programs import MULTIPLY
>>> machine = SubleqMachine(n_memory=8, n_instructions=16)
>>> program = machine.assemble(MULTIPLY).with_data(x=6, y=7)
>>> machine.run(program)["product"]
42
"""

from sklearn_looped.programmed.machines.programs.calculator import CALCULATOR
from sklearn_looped.programmed.machines.programs.fleq import (
    BUBBLE_SORT,
    LINEAR_SGD,
    REVERSE,
    SEARCH,
    linear_sgd,
)
from sklearn_looped.programmed.machines.programs.matrices import (
    BACKPROPAGATION,
    INVERSE,
    POWER_ITERATION,
    PRODUCT,
    TRANSPOSE,
    backpropagation,
)
from sklearn_looped.programmed.machines.programs.showpieces import (
    BRAINFUCK,
    SIEVE,
    brainfuck,
    sieve,
)
from sklearn_looped.programmed.machines.programs.subleq import (
    ADD,
    FACTORIAL,
    FIBONACCI,
    MULTIPLY,
    SORT,
    SQUARE_ROOT,
    TRIANGLES,
)
