"""Another language's interpreter for `SubleqMachine`, which addresses memory by number only."""

from collections.abc import Sequence

from sklearn_looped.programmed.machines.programs.showpieces import symbols_of

# `count` goes down to 0 along each list; where it arrives is the item.
_INTERPRETER = """
ip:      .word 0                ; number of the next symbol
at:      .word 0                ; of the cell it works on
in:      .word 0                ; of the next input
out:     .word 0                ; of the next output
symbol:  .word 0
cell:    .word 0
count:   .word 0
t:       .word 0
depth:   .word 0                ; above 0 on the way to a bracket
way:     .word 1                ; forward, or -1: backward
fetch:   move ip, count
{get_symbol}
         subleq #0, depth, execute
         move symbol, t
         subleq #6, t, go
         subleq #1, t, opens
         subleq way, depth
         jump found
opens:   add way, depth
found:   subleq #0, depth, next
go:      add way, ip
         jump fetch
execute: subleq #0, symbol, end
         move at, count
{get_cell}
         move symbol, t
         subleq #1, t, right
         subleq #1, t, left
         subleq #1, t, plus
         subleq #1, t, minus
         subleq #1, t, write
         subleq #1, t, read
         subleq #1, t, open
         subleq #0, cell, next  ; ] of a loop that ends
         move #-1, way
         move #1, depth
         jump go
open:    subleq #0, cell, skip  ; cells are at least 0
         jump next
skip:    move #1, way
         move #1, depth
         jump go
right:   subleq #-1, at
         jump next
left:    subleq #1, at
         jump next
plus:    subleq #-1, cell
         jump put
minus:   subleq #1, cell
         jump put
read:    move in, count
         subleq #-1, in
{get_input}
put:     move at, count
{put_cell}
         jump next
write:   move out, count
         subleq #-1, out
{put_output}
next:    subleq #-1, ip
         jump fetch
"""


def subleq_brainfuck(
    text: str, inputs: Sequence[int] = (), n_tape: int = 8, n_outputs: int = 8
) -> str:
    """Text of an interpreter of Brainf*ck, and of a program for it, for `SubleqMachine`.

    SUBLEQ has no pointers, so an item of a list is found by counting along it, by instructions of
    its own: the interpreter has seven for each symbol, input and output and fourteen for each cell,
    which is read and written, and takes two steps for each item that it passes.
    `programs.brainfuck` is its twin with pointers.

    Parameters
    ----------
    text : str
        The program to interpret; what is no symbol is a comment.
    inputs : sequence of int
        Numbers that ``,`` reads; 0 behind the last.
    n_tape, n_outputs : int
        Cells of the tape, and of what ``.`` writes; beyond an end is the cell at that end.

    Returns
    -------
    text : str
        Labels ``tape`` and ``outputs`` hold the results.

    Raises
    ------
    ValueError
        If brackets do not match.

    Examples
    --------
    >>> from sklearn_looped import SubleqMachine
    >>> from sklearn_looped.programmed.machines.programs import subleq_brainfuck
    >>> text = subleq_brainfuck("++[>++<-]>.", n_tape=2, n_outputs=1)
    >>> program = SubleqMachine.assemble(text)
    >>> machine = SubleqMachine(len(program.cells), len(program.instructions))
    >>> machine.run(program)["outputs"]
    4
    """
    lists = {
        "program": [*symbols_of(text), 0],
        "tape": [0] * n_tape,
        "inputs": [*inputs, 0],
        "outputs": [0] * n_outputs,
    }
    sizes = {name: len(values) for name, values in lists.items()}
    code = _INTERPRETER.format(
        get_symbol=_item("program", sizes["program"], "symbol", get=True),
        get_cell=_item("tape", n_tape, "cell", get=True),
        get_input=_item("inputs", sizes["inputs"], "cell", get=True),
        put_cell=_item("tape", n_tape, "cell", get=False),
        put_output=_item("outputs", n_outputs, "cell", get=False),
    )
    data = [f"{name}: .word {', '.join(map(str, values))}" for name, values in lists.items()]
    return "\n".join([*data, code])


def _item(name: str, size: int, register: str, *, get: bool) -> str:
    """Copy item number `count` of a list to a register, or the register to the item."""
    way = f"{'get' if get else 'put'}_{name}"
    seek = [
        line
        for i in range(size - 1)
        for line in (f" subleq #0, count, {way}_{i}", " subleq #1, count")
    ]
    copies = []
    for i in reversed(range(size)):
        operands = (f"{name}+{i}", register) if get else (register, f"{name}+{i}")
        copies += [f"{way}_{i}: move {', '.join(operands)}", f" jump {way}_done"]
    return "\n".join([*seek, *copies, f"{way}_done: subleq #0, #0"])
