"""Assembly of the calculator, with constants by name; `calculator` puts the parts together."""

MACROS = """
.macro integer x, c             ; c <- x rounded to an integer
           add x, #INTEGER, c
           subtract c, #INTEGER, c
.end
.macro absolute x, c            ; c <- |x|, sign <- -1 or 1
           move #1, sign
           move x, c
           subtract #0, x, t
           branch t, done       ; x >= 0
           move t, c
           move #-1, sign
done:
.end
.macro invert x, c              ; c <- 1 / x, x from 1 to 2.5
           inverse x, c
           newton x, c
           newton x, c
           newton x, c
.end
.macro newton x, c              ; c <- c + c (1 - x c)
           multiply x, c, t
           subtract #1, t, t
           multiply t, c, t
           add c, t, c
.end
.macro improve x, c             ; c <- c + c (1 - x c c) / 2
           multiply c, c, t
           multiply x, t, t
           subtract #1, t, t
           multiply t, c, t
           multiply t, #0.5, t
           add c, t, c
.end
.macro gather part              ; turns, fraction <- plus part * digit * weight, modulo 4
           multiply part, digit, p
           multiply p, weight, p
           multiply p, #0.25, t
           integer t, t
           multiply t, #4, t
           subtract p, t, p
           add p, #96, t        ; to multiples of 2**-46
           subtract t, #96, t
           add turns, t, turns
           subtract p, t, p
           add fraction, p, fraction
.end
"""

DATA = """
x:         .word 1
y:         .word 1
z:         .word 0
operation: .word 0
u:         .word 0
e:         .word 0
n:         .word 0
r:         .word 0
s:         .word 0
w:         .word 0
p:         .word 0
t:         .word 0
sign:      .word 1
high:      .word 0
middle:    .word 0
low:       .word 0
digit:     .word 0
weight:    .word 0
turns:     .word 0
fraction:  .word 0
left:      .word 0
digits:    .pointer table
"""

ARITHMETIC = """
do_add:      add x, y, z
             halt
do_subtract: subtract x, y, z
             halt
do_multiply: multiply x, y, z
             halt

; x / y: y = u * 2**e, z <- x * (1 / u) * 2**-e; a small x is lifted first
do_divide:   absolute y, u
             branch u, no_quotient
             move x, z
             multiply z, sign, z
             absolute z, z
             move #0, n
             subtract z, #1e-150, t
             branch t, lift
             jump split
lift:        multiply z, #LIFT, z
             move #-600, n
             jump split
no_quotient: trap y
quotient:    invert u, r
             multiply z, r, z
             subtract n, e, n
             jump rescale

; sqrt(x): x = u * 4**h with u from 1 to 4, z <- u * (1 / sqrt(u)) * 2**h
do_sqrt:     move #1, sign
             move x, u
             subtract #0, x, t
             branch t, not_below
             trap x
not_below:   move x, z
             branch x, end
             jump split
root:        multiply e, #0.5, t
             subtract t, #0.25, t
             integer t, n
             subtract e, n, t
             subtract t, n, t
             branch t, even
             multiply u, #2, u
even:        inverse_root u, r
             improve u, r
             improve u, r
             improve u, r
             multiply u, r, z
             jump rescale
"""

EXPONENTIALS = """
; log(x): x = u * 2**e, log(u) = 2 s + s^3 (2/3 + s^2 (2/5 + ...)) with s = (u - 1) / (u + 1)
do_log:      move x, u
             branch x, no_log
             jump split
no_log:      trap x
near_one:    subtract u, #ROOT_2, t
             branch t, near
             multiply u, #0.5, u
             add e, #1, e
near:        add u, #1, s
             invert s, r
             subtract u, #1, s
             multiply s, r, s
             multiply s, s, w
             log_series w, r
             multiply r, w, r
             add r, #TWO_THIRDS, r
             multiply r, w, r
             multiply r, s, r
             add s, s, s
             add r, s, r
             subtract operation, #5, t
             branch t, whole_log
             jump whole_power
whole_log:   multiply e, #LN2_LOW, t
             add r, t, r
             multiply e, #LN2_HIGH, t
             add r, t, z
             halt

; power(x, y) = sign * exp(y log |x|); a negative x takes an integer y, and a sign if it is odd
do_power:    move #1, z
             subtract #0, y, t
             branch y, not_up
             jump base
not_up:      branch t, end      ; y = 0
base:        absolute x, u
             branch u, of_zero
             branch sign, of_minus
             jump split
of_zero:     move #0, z
             branch y, no_power
             halt
no_power:    trap x
of_minus:    absolute y, w
             move #1, sign
             subtract w, #TWO_53, t
             branch t, fits
             jump split         ; y is so large that it is even
fits:        subtract w, #BELOW_1, t
             branch t, no_power
             multiply w, #0.5, w
             add w, #TWO_52, t
             subtract t, #TWO_52, t
             subtract w, t, w   ; 0: even, 1/2 or -1/2: odd
             absolute w, w
             move #1, sign
             branch w, split
             subtract #0.5, w, t
             branch t, odd
             trap x             ; y is no integer
odd:         move #-1, sign
             jump split
whole_power: move y, s
             subtract y, #TWO_64, t
             branch t, not_huge
             move #TWO_64, s
not_huge:    add y, #TWO_64, t
             branch t, huge_down
             jump logarithm
huge_down:   move #-TWO_64, s
logarithm:   multiply r, #LOG2_E, r
             add r, e, r        ; log2 |x|
             multiply r, s, r
             subtract r, #1024, t
             branch t, not_over
             trap x
not_over:    add r, #1080, t
             branch t, vanish
             integer r, n
             subtract r, n, r
             multiply r, #LN2, r
             jump exponential
vanish:      move #0, z
             halt

; exp(x): x = n log 2 + r, exp(r) = 1 + r + r^2 / 2 + r^3 (1/6 + ...)
do_exp:      move #1, sign
             move x, s
             subtract x, #LARGEST, t
             branch t, reduce
             trap x
reduce:      add s, #746, t
             branch t, vanish
             multiply s, #LOG2_E, t
             integer t, n
             multiply n, #LN2_HIGH, t
             subtract s, t, r
             multiply n, #LN2_LOW, t
             subtract r, t, r
exponential: exp_series r, z
             multiply z, r, z
             add z, #0.5, z
             multiply z, r, z
             multiply z, r, z
             add z, r, z
             add z, #1, z
             jump rescale

; tanh(x): (1 - q) / (1 + q) with q = exp(-2 |x|), or x - x^3 (1/3 - ...) near 0
do_tanh:     absolute x, u
             subtract u, #0.19, t
             branch t, near_zero
             move sign, z
             subtract #20, u, t
             branch t, end
             multiply u, #-2, s
             move #1, sign
             jump reduce
ratio:       add #1, z, s
             subtract #1, z, z
             invert s, r
             multiply z, r, z
             subtract #0, x, t
             branch t, end
             subtract #0, z, z
             halt
near_zero:   multiply u, u, w
             tanh_series w, r
             multiply r, w, r
             multiply r, x, r
             subtract x, r, z
             halt
"""

CIRCLE = """
; sin(x), cos(x): |x| * 2 / pi = n + fraction, from digits of 2 / pi to the base 2**24; what is a
; multiple of 4 drops out (Payne and Hanek 1983)
do_sin:      absolute x, u
             move #0, n
             jump angle
do_cos:      absolute x, u
             move #1, sign
             move #1, n
angle:       move u, r
             subtract u, #QUARTER, t
             branch t, quadrant
window:      subtract u, #TWO_26, t
             branch t, parts
             multiply u, #2_TO_MINUS_24, u
             increment digits, digits
             jump window
parts:       integer u, high
             subtract u, high, low
             multiply low, #TWO_26, t
             integer t, t
             multiply t, #2_TO_MINUS_26, middle
             subtract low, middle, low
             move #2_TO_48, weight
             move #TERMS, left
             move #0, turns
             move #0, fraction
digit_of:    load digits, digit
             gather high
             gather middle
             gather low
             multiply weight, #2_TO_MINUS_24, weight
             increment digits, digits
             subtract left, #1, left
             branch left, collected
             jump digit_of
collected:   integer turns, t
             subtract turns, t, r
             add r, fraction, r
             add n, t, n
             multiply r, #HALF_PI, r
quadrant:    multiply n, #0.25, t
             subtract t, #0.375, t
             integer t, t
             multiply t, #4, t
             subtract n, t, n   ; 0, 1, 2, 3
             subtract n, #1, t
             branch t, wave
             subtract n, #2, n
             subtract #0, sign, sign
wave:        multiply r, r, w
             branch n, sine
             cos_series w, z    ; cos(r) = 1 - r^2 / 2 + r^4 (1/24 - ...)
             multiply z, w, z
             subtract z, #0.5, z
             multiply z, w, z
             add z, #1, z
             multiply z, sign, z
             halt
sine:        sin_series w, z    ; sin(r) = r - r^3 (1/6 - ...)
             multiply z, w, z
             multiply z, r, z
             subtract r, z, z
             multiply z, sign, z
             halt
"""

RETURNS = """
parted:      subtract operation, #3, t
             branch t, quotient
             subtract operation, #4, t
             branch t, root
             jump near_one
"""

SCALED = """
scaled:      subtract operation, #7, t
             branch t, signed
             jump ratio
signed:      multiply z, sign, z
"""
