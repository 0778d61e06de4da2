"""Programs to look at, for `FleqMachine`: a sieve of primes, and another language's interpreter."""

from collections.abc import Sequence

SIEVE = """
; The sieve of Eratosthenes: prime+i is 1 where i is a prime, and 0 elsewhere.
n:        .word 30              ; up to and with this number
first:    .pointer prime
p:        .word 2
step:     .word 0
place:    .word 0
at:       .pointer prime
mark:     .word 0
walk:     .pointer prime
t:        .word 0
          move first, walk
          increment walk, walk
          increment walk, walk  ; to prime+2
outer:    multiply p, p, t
          subtract t, n, t
          subtract t, #0.5, t
          branch t, test        ; p * p <= n
          halt
test:     load walk, mark
          branch mark, next     ; p is no prime: its multiples are struck out
          move walk, at
          move p, place
strike:   move p, step
forward:  increment at, at
          add place, #1, place
          subtract step, #1, step
          branch step, arrived
          jump forward
arrived:  subtract place, n, t
          subtract t, #0.5, t
          branch t, out         ; place <= n
          jump next
out:      store #0, at
          jump strike
next:     increment walk, walk
          add p, #1, p
          jump outer
"""


def sieve(n: int) -> str:
    """Text of `SIEVE` with room for the numbers up to n.

    Parameters
    ----------
    n : int

    Returns
    -------
    text : str

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.fleq import assemble_fleq
    >>> from sklearn_looped.programmed.machines.programs import sieve
    >>> program = assemble_fleq(sieve(10)).with_data(n=10)
    >>> program.labels["prime"] + 10 < len(program.cells)
    True
    """
    return f"{SIEVE}\nprime: .word {', '.join(['0', '0', *['1'] * (n - 1)])}, 0\n"


BRAINFUCK = """
; An interpreter of Brainf*ck. Code cells hold 1 to 8 for > < + - . , [ ] and 0 at the end; tape
; and output are lists of cells. A pointer can only be counted up, so those that go back keep a
; number and count anew from the beginning.
code:     .pointer program      ; the next symbol
here:     .pointer tape         ; the cell it works on
place:    .word 0               ; its number
input:    .pointer inputs
output:   .pointer outputs
start:    .pointer program
origin:   .pointer tape
number:   .word 0               ; of the next symbol
symbol:   .word 0
cell:     .word 0
depth:    .word 0
count:    .word 0
t:        .word 0
.macro rewind count, from, pointer  ; pointer <- from, counted up; count <- 0
          move from, pointer
again:    branch count, done
          increment pointer, pointer
          subtract count, #1, count
          jump again
done:
.end
fetch:    load code, symbol
          branch symbol, end
          load here, cell
          subtract symbol, #1, t
          branch t, right
          subtract symbol, #2, t
          branch t, left
          subtract symbol, #3, t
          branch t, plus
          subtract symbol, #4, t
          branch t, minus
          subtract symbol, #5, t
          branch t, write
          subtract symbol, #6, t
          branch t, read
          subtract symbol, #7, t
          branch t, open
          jump close
right:    add place, #1, place
          subtract place, last, t
          branch t, ahead
          trap place            ; behind the last cell
ahead:    increment here, here
          jump next
left:     subtract place, #1, place
          add place, #0.5, t
          branch t, off
          move place, count
          rewind count, origin, here
          jump next
off:      trap place            ; before the first cell
plus:     add cell, #1, cell
          store cell, here
          jump next
minus:    subtract cell, #1, cell
          store cell, here
          jump next
write:    store cell, output
          increment output, output
          jump next
read:     load input, cell
          increment input, input
          store cell, here
next:     increment code, code
          add number, #1, number
          jump fetch
open:     branch cell, skip     ; cells are at least 0
          jump next
skip:     move #1, depth        ; to the bracket that closes this one
seek:     increment code, code
          add number, #1, number
          load code, symbol
          subtract symbol, #6, t
          branch t, seek
          subtract symbol, #7, t
          branch t, deeper
          subtract depth, #1, depth
          branch depth, next
          jump seek
deeper:   add depth, #1, depth
          jump seek
close:    branch cell, next
          move #1, depth        ; back to the bracket that opens this one
back:     subtract number, #1, number
          move number, count
          rewind count, start, code
          load code, symbol
          subtract symbol, #6, t
          branch t, back
          subtract symbol, #7, t
          branch t, shallower
          add depth, #1, depth
          jump back
shallower: subtract depth, #1, depth
          branch depth, next
          jump back
"""
SYMBOLS = "><+-.,[]"


def symbols_of(text: str) -> list[int]:
    """Numbers of the symbols of a program, from 1 on; raises if brackets do not match."""
    codes = [SYMBOLS.index(symbol) + 1 for symbol in text if symbol in SYMBOLS]
    depth = 0
    for code in codes:
        depth += (code == 7) - (code == 8)
        if depth < 0:
            break
    if depth:
        raise ValueError("Got a program whose brackets do not match.")
    return codes


def brainfuck(
    text: str, inputs: Sequence[float] = (), n_tape: int = 16, n_outputs: int = 32
) -> str:
    """Text of `BRAINFUCK` with a program on its memory; what is no symbol is a comment.

    Parameters
    ----------
    text : str
        The program to interpret.
    inputs : sequence of float
        Numbers that ``,`` reads; 0 behind the last.
    n_tape, n_outputs : int
        Cells of the tape, beyond whose ends the program traps, and of what ``.`` writes.

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
    >>> from sklearn_looped import FleqMachine
    >>> from sklearn_looped.programmed.machines.programs import brainfuck
    >>> program = FleqMachine.assemble(brainfuck("++[>++<-]>.", n_tape=4, n_outputs=1))
    >>> machine = FleqMachine(len(program.cells), len(program.instructions))
    >>> machine.run(program)["outputs"].values[0]
    4.0
    """
    codes = symbols_of(text)
    cells: dict[str, list[float]] = {
        "program": [*codes, 0],
        "tape": [0] * n_tape,
        "last": [n_tape - 1],
        "inputs": [*inputs, 0],
        "outputs": [0] * n_outputs,
    }
    data = [f"{label}: .word {', '.join(map(str, values))}" for label, values in cells.items()]
    return "\n".join([BRAINFUCK, *data])
