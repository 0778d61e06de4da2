"""Example programs on integers, for `SubleqMachine`."""

ADD = """
x:      .word 2
y:      .word 3                 ; y <- x + y
        add x, y
"""

MULTIPLY = """
x:       .word 2                ; counts down, at least 0
y:       .word 3
product: .word 0                ; product <- x * y by repeated addition
loop:    subleq #0, x, end      ; end when x <= 0
         add y, product
         subleq #1, x
         jump loop
"""

FACTORIAL = """
n:       .word 5                ; at least 1
result:  .word 1                ; result <- n!
product: .word 0
count:   .word 0
outer:   move n, count
         clear product
inner:   add result, product    ; product <- result * n
         subleq #1, count, done
         jump inner
done:    move product, result
         subleq #1, n, end
         jump outer
"""

FIBONACCI = """
n:       .word 10
a:       .word 0                ; a <- the n-th Fibonacci number
b:       .word 1
next:    .word 0
loop:    subleq #0, n, end
         move a, next
         add b, next
         move b, a
         move next, b
         subleq #1, n
         jump loop
"""

SQUARE_ROOT = """
x:       .word 50               ; at least 0
odd:     .word 1
root:    .word 0                ; root <- floor(sqrt(x)): subtract 1, 3, 5, ... while x lasts
loop:    subleq odd, x, last
         subleq #-1, root       ; root <- root + 1
         subleq #-2, odd
         jump loop
last:    subleq #-1, x, end     ; x was < 0: the last odd number did not fit
         subleq #-1, root       ; x was 0: it did
"""

SORT = """
; Bubble sort of four cells, in three passes. Memory is addressed by number only, so a pass is
; unrolled. No step leaves the range of the cells: values of unlike sign are not subtracted, and
; a value is negated as -1 - x.
.macro reset x                  ; x <- -1
         subleq x, x
         subleq #1, x
.end
.macro order p, q               ; afterwards p <= q, and s and t are -1 as before
         subleq #0, p, p_low
         subleq #0, q, swap     ; q <= 0 < p
         jump compare
p_low:   subleq #0, q, low
         jump sorted            ; p <= 0 < q
low:     subleq #-1, q, q_below
         subleq #1, q           ; q was 0, and is again
         jump sorted            ; p <= 0 = q
q_below: subleq #1, q
compare: subleq q, s
         subleq s, t            ; t <- q
         subleq p, t, after     ; q - p <= 0
         reset s
         reset t
         jump sorted
after:   reset s
         reset t
swap:    subleq q, s            ; s <- -1 - q, t <- -1 - p
         subleq p, t
         reset p
         subleq s, p            ; p <- q
         reset q
         subleq t, q            ; q <- p
         reset s
         reset t
sorted:  subleq #0, #0
.end
list:    .word 4, 1, 3, 2
s:       .word -1
t:       .word -1
passes:  .word -2               ; counts up to 1
pass:    order list, list+1
         order list+1, list+2
         order list+2, list+3
         subleq #-1, passes, pass
"""

TRIANGLES = """
; For a `GraphSubleqMachine`: count <- closed walks of three edges, three for each triangle.
n:       .word 3                ; nodes
count:   .word 0
i:       .word 0
j:       .word 0
k:       .word 0
t:       .word 0
         move n, i
outer:   subleq #0, i, end
         subleq #1, i
         move n, j
middle:  subleq #0, j, outer
         subleq #1, j
         move j, t
         edge i, t, middle      ; no edge from i to j
         move n, k
inner:   subleq #0, k, middle
         subleq #1, k
         move k, t
         edge j, t, inner
         move i, t
         edge k, t, inner
         subleq #-1, count
         jump inner
"""
