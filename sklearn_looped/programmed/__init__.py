"""Weights written by hand, exact to a stated bound.

`layout` names the fields of a token, `layers` and `evaluation` run them, `primitives` builds heads
and hidden units from named fields, and `certificate` says why the result is exact. On these stand
the machines, `subleq` and `fleq` (text to program in `assembler`, example programs in
`programs`, their plain-Python twins in `interpreter`), and the algorithms that are blocks of
their own: `sgd`, `descent`, `linalg`, `lloyd`, `smoother`, `kernel_machine` and the graph
algorithms of `csgraph`.
"""
