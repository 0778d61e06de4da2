"""Programs on matrices, for `UniversalMachine`: a cell is a matrix of d rows and d columns.

A vector is the first column of a matrix and a number is its first entry; the rest is 0.
"""

from sklearn_looped.programmed.machines.programs.fleq import with_samples

PRODUCT = """
a:        .word 0
b:        .word 0
c:        .word 0
          matmul a, b, c
"""

TRANSPOSE = """
a:        .word 0
c:        .word 0
          transpose a, c
"""

INVERSE = """
; Newton and Raphson: x <- x (2 unit - a x), from a' times a power of two that makes it small.
a:        .word 0
unit:     .word 0               ; the identity on the rows in use
x:        .word 0               ; the inverse
rounds:   .word 128
residual: .word 0               ; unit - a x
size:     .word 0               ; sum of its squares, and before the round
was:      .word 1
scale:    .word 1
step:     .word 0
t:        .word 0
          dot a, a, size
          branch size, fail     ; a matrix of zeros
small:    multiply scale, size, t
          subtract t, #1, t
          branch t, large       ; scale * size <= 1
          multiply scale, #1.52587890625e-05, scale
          jump small
large:    enlarge #65536, finer
finer:    enlarge #2, start
start:    transpose a, x
          scale scale, x, x
round:    matmul a, x, residual
          subtract unit, residual, residual
          dot residual, residual, size
          branch size, end
          subtract size, #0.0625, t
          branch t, near
go_on:    subtract rounds, #1, rounds
          branch rounds, fail
          move size, was
          matmul x, residual, step
          add x, step, x
          jump round
near:     multiply #0.25, was, t
          subtract size, t, t
          branch t, go_on       ; the residual still halves
          halt
fail:     trap size             ; singular, or too few rounds
.macro enlarge factor, done     ; scale <- scale * factor while scale * size * factor <= 1
again:    multiply scale, factor, step
          multiply step, size, t
          subtract t, #1, t
          branch t, more
          jump done
more:     move step, scale
          jump again
.end
"""

POWER_ITERATION = """
; v <- a v / |a v|; 1 / |a v| by a sum of sigmoids and three of Newton's steps.
a:        .word 0
v:        .word 0               ; the vector, of length 1
value:    .word 0               ; v' a v
rounds:   .word 1000
tolerance: .word 0              ; of |a v - value v|^2 / |a v|^2
w:        .word 0               ; a v
error:    .word 0
size:     .word 0               ; |a v|^2; mean is that times scale, from 1 to 4
scale:    .word 1               ; a power of 4, and its square root
half:     .word 1
mean:     .word 0
y:        .word 0               ; 1 / sqrt(mean)
t:        .word 0
          move v, w
          dot w, w, size
          branch size, fail
          jump normal
round:    matmul a, v, w
          dot v, w, value
          scale value, v, error
          subtract error, w, error
          dot error, error, error
          dot w, w, size
          multiply tolerance, size, t
          subtract error, t, t
          branch t, end
          subtract rounds, #1, rounds
          branch rounds, fail
normal:   multiply scale, size, mean
          subtract mean, #4, t
          branch t, below       ; mean <= 4
          multiply scale, #0.25, scale
          multiply half, #0.5, half
          jump normal
below:    subtract #1, mean, t
          branch t, unit        ; mean >= 1
          multiply scale, #4, scale
          multiply half, #2, half
          jump normal
unit:     inverse_root mean, y
          newton mean, y, t
          newton mean, y, t
          newton mean, y, t
          multiply y, half, y
          scale y, w, v
          jump round
fail:     trap error            ; no end within the rounds: there is no single largest eigenvalue
.macro newton mean, y, t        ; y <- y (3 - mean y^2) / 2
          multiply y, y, t
          multiply t, mean, t
          subtract #3, t, t
          multiply t, #0.5, t
          multiply y, t, y
.end
"""

BACKPROPAGATION = """
; Two layers, a = sigmoid(W1 x + b1) and W2 a + b2, squared errors, a step for every sample.
W1:       .word 0
b1:       .word 0
W2:       .word 0
b2:       .word 0
hidden:   .word 0               ; 1 for every hidden unit in use
rate:     .word 0.1
epochs:   .word 1
n:        .word 1
left:     .word 0
x:        .word 0
a:        .word 0
slope:    .word 0               ; a (1 - a)
output:   .word 0
top:      .word 0               ; gradients of output and hidden layer, times the rate
below:    .word 0
t:        .word 0
xs:       .pointer samples
ys:       .pointer targets
px:       .pointer samples
py:       .pointer targets
epoch:    move n, left
          move xs, px
          move ys, py
sample:   load px, x
          matmul W1, x, a
          add a, b1, a
          sigmoid a, a
          multiply a, hidden, a
          matmul W2, a, output
          add output, b2, output
          load py, t
          subtract output, t, top
          scale rate, top, top
          transpose W2, t
          matmul t, top, below
          subtract hidden, a, slope
          multiply slope, a, slope
          multiply below, slope, below
          transpose a, t
          matmul top, t, t
          subtract W2, t, W2
          subtract b2, top, b2
          transpose x, t
          matmul below, t, t
          subtract W1, t, W1
          subtract b1, below, b1
          increment px, px
          increment py, py
          subtract left, #1, left
          branch left, done
          jump sample
done:     subtract epochs, #1, epochs
          branch epochs, end
          jump epoch
"""


def backpropagation(n_samples: int) -> str:
    """Return the text of `BACKPROPAGATION` with room for data, labels ``samples`` and ``targets``.

    Parameters
    ----------
    n_samples : int

    Returns
    -------
    text : str

    Examples
    --------
    >>> from sklearn_looped.programmed.machines.programs import backpropagation
    >>> backpropagation(2).splitlines()[-2:]
    ['samples: .word 0, 0', 'targets: .word 0, 0']
    """
    return with_samples(BACKPROPAGATION, n_samples)
