"""What ``run-program --help`` says about the two assembly languages; a test compares it."""

LANGUAGES = """both languages, one statement a line:
  label: operation operand, operand   ; comment
  x: .word 6            a cell; list: .word 3, 1, 2 makes three, list+2 is the last of them
  #5                    as an operand: a cell that holds 5
  .macro name p, q      up to .end: a macro; labels in it are local to each use
  end                   as a target: the end of the program

subleq, on integers:
  subleq a, b, target   b <- b - a; go to target if b <= 0, else (and without target) go on
  clear x               x <- 0
  add x, y              y <- y + x
  move x, y             y <- x
  jump target
  halt

fleq, on vectors, all with two more operands, if wanted: flag, target (go there if flag <= 0):
  move a, c             c <- a, its pointer too
  add a, b, c           c <- a + b
  subtract a, b, c      c <- a - b
  multiply a, b, c      c <- a * b, entry by entry
  dot a, b, c           c <- sum of a * b
  scale a, b, c         c <- first entry of a, times b
  sigmoid a, c          c <- 1 / (1 + exp(-a))
  load p, c             c <- the cell that p points to
  store a, p            the cell that p points to <- a
  increment p, c        c <- p, pointing to the next cell
  trap a                stop with a fault that names a
  branch flag, target   go to target if flag <= 0
  jump target
  halt
  .vector 1 2 3         one cell; .pointer list: a cell that points to a label
"""
