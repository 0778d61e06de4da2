"""Integers of 32 bits on `SubleqMachine`, as four cells of one byte, the lowest first."""

# Sums and differences are modulo 2**32; `carry` goes in, and comes out as 0 or 1.
_MACROS = """
.macro add_byte x, y            ; y <- y + x + carry, less 256 where that is beyond a byte
         add x, y
         add carry, y
         clear carry
         subleq #255, y, fits
         subleq #1, y
         subleq #-1, carry
         jump done
fits:    subleq #-255, y
done:    subleq #0, #0
.end
.macro subtract_byte x, y       ; y <- y - x - carry, plus 256 where that is below 0
         subleq x, y
         subleq carry, y
         clear carry
         subleq #-1, y, below
         subleq #1, y
         jump done
below:   subleq #-255, y
         subleq #-1, carry
done:    subleq #0, #0
.end
.macro add_wide x, y
         add_byte x, y
         add_byte x+1, y+1
         add_byte x+2, y+2
         add_byte x+3, y+3
.end
.macro subtract_wide x, y
         subtract_byte x, y
         subtract_byte x+1, y+1
         subtract_byte x+2, y+2
         subtract_byte x+3, y+3
.end
carry:   .word 0
x:       .word 0, 0, 0, 0
y:       .word 0, 0, 0, 0
"""

WIDE_ADD = f"""
; y <- x + y modulo 2**32; numbers as list(n.to_bytes(4, "little")).
{_MACROS}
         add_wide x, y
"""

WIDE_MULTIPLY = f"""
; product <- x * y modulo 2**32, bit by bit from the highest of x, which ends as 0.
{_MACROS}
product: .word 0, 0, 0, 0
bits:    .word 32
loop:    clear carry
         add_wide product, product
         clear carry
         add_wide x, x          ; its highest bit is the carry
         subleq #0, carry, next
         clear carry
         add_wide y, product
next:    subleq #1, bits, end
         jump loop
"""

WIDE_DIVIDE = f"""
; x <- x // y, rest <- x % y of unsigned numbers; as on RISC-V, x // 0 is 2**32 - 1 and x % 0 is x.
{_MACROS}
rest:    .word 0, 0, 0, 0
over:    .word 0
bits:    .word 32
loop:    clear carry
         add_wide x, x
         add_wide rest, rest    ; the bit that x lost comes in
         move carry, over
         clear carry
         subtract_wide y, rest
         subleq #0, carry, fits
         subleq #0, over, back  ; rest was below y
fits:    subleq #-1, x
         jump next
back:    clear carry
         add_wide y, rest
next:    subleq #1, bits, end
         jump loop
"""
