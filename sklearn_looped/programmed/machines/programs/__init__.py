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

from sklearn_looped.programmed.machines.programs.brainfuck_subleq import (
    subleq_brainfuck as subleq_brainfuck,
)
from sklearn_looped.programmed.machines.programs.calculator import CALCULATOR as CALCULATOR
from sklearn_looped.programmed.machines.programs.fleq import BUBBLE_SORT as BUBBLE_SORT
from sklearn_looped.programmed.machines.programs.fleq import LINEAR_SGD as LINEAR_SGD
from sklearn_looped.programmed.machines.programs.fleq import REVERSE as REVERSE
from sklearn_looped.programmed.machines.programs.fleq import SEARCH as SEARCH
from sklearn_looped.programmed.machines.programs.fleq import linear_sgd as linear_sgd
from sklearn_looped.programmed.machines.programs.fleq import reverse as reverse
from sklearn_looped.programmed.machines.programs.matrices import BACKPROPAGATION as BACKPROPAGATION
from sklearn_looped.programmed.machines.programs.matrices import INVERSE as INVERSE
from sklearn_looped.programmed.machines.programs.matrices import POWER_ITERATION as POWER_ITERATION
from sklearn_looped.programmed.machines.programs.matrices import PRODUCT as PRODUCT
from sklearn_looped.programmed.machines.programs.matrices import TRANSPOSE as TRANSPOSE
from sklearn_looped.programmed.machines.programs.matrices import backpropagation as backpropagation
from sklearn_looped.programmed.machines.programs.showpieces import BRAINFUCK as BRAINFUCK
from sklearn_looped.programmed.machines.programs.showpieces import SIEVE as SIEVE
from sklearn_looped.programmed.machines.programs.showpieces import brainfuck as brainfuck
from sklearn_looped.programmed.machines.programs.showpieces import sieve as sieve
from sklearn_looped.programmed.machines.programs.subleq import ADD as ADD
from sklearn_looped.programmed.machines.programs.subleq import FACTORIAL as FACTORIAL
from sklearn_looped.programmed.machines.programs.subleq import FIBONACCI as FIBONACCI
from sklearn_looped.programmed.machines.programs.subleq import MULTIPLY as MULTIPLY
from sklearn_looped.programmed.machines.programs.subleq import SORT as SORT
from sklearn_looped.programmed.machines.programs.subleq import SQUARE_ROOT as SQUARE_ROOT
from sklearn_looped.programmed.machines.programs.subleq import TRIANGLES as TRIANGLES
from sklearn_looped.programmed.machines.programs.wide import WIDE_ADD as WIDE_ADD
from sklearn_looped.programmed.machines.programs.wide import WIDE_DIVIDE as WIDE_DIVIDE
from sklearn_looped.programmed.machines.programs.wide import WIDE_MULTIPLY as WIDE_MULTIPLY
