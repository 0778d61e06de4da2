"""
A program inside a transformer, step by step
============================================

`SubleqMachine` is a looped transformer of two layers whose weights were written by hand. Its input
is a tape: one token for a scratchpad, one for each memory cell and each instruction. Every loop
executes one instruction, ``subleq a, b, c``: subtract cell a from cell b, and go to c if the result
is at most 0 (Giannou et al. 2023).
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_looped import SubleqMachine
from sklearn_looped.programmed.machines.programs import MULTIPLY

machine = SubleqMachine(n_memory=8, n_instructions=12)
print(MULTIPLY)

# %%
# The weights depend on the sizes declared, not on the program: the fingerprint of all of them is
# the same before and after. The host writes the tape, compares the program counter with the end
# and reads the memory; a trace makes it look after every loop.

before = machine.transformer.fingerprint()
program = machine.assemble(MULTIPLY).with_data(x=3, y=4)
result = machine.run(program, trace=True)
print(f"product = {result['product']} after {result.n_loops} loops; "
      f"weights unchanged: {machine.transformer.fingerprint() == before}")  # fmt: skip
result.trace.head(8)

# %%
# Why it is exact: the scores of a read differ by more than it takes for a softmax to be one-hot in
# float64, and all numbers are integers that float64 holds.

machine.certificate

# %%
# The memory after each loop, and the state before the first: rows are tokens, columns the fields of
# a token.

cells = [list(program.cells)]
for writes in result.trace["writes"]:
    cells.append([writes.get(address, value) for address, value in enumerate(cells[-1])])
cells = np.array(cells)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for name in ("x", "y", "product"):
    left.step(range(len(cells)), cells[:, program.labels[name]], where="post", label=name)
left.set(xlabel="loops", ylabel="value of the cell")
left.legend(frameon=False)

right.imshow(machine.load(program), cmap="RdBu", vmin=-1, vmax=1, aspect="auto")
fields = machine.fields
names = [name for name in fields.names if fields.size(name) > 2]  # indicators are left out
right.set_xticks([fields[name].start for name in names], names, rotation=90)
tokens = machine.tokens
right.set_yticks([tokens[name].start for name in tokens.names], tokens.names)
right.set_title("the tape")
plt.show()
