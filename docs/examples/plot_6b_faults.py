"""
A machine that faults, and why
==============================

A looped transformer computes with whatever numbers it meets. Outside of the interval on which the
error of a sum of sigmoids is bounded, its results would look plausible and be wrong. The machines
stop instead: the network itself keeps its program counter where it is and writes nothing any more,
and the host reports the instruction and the value.
"""

import numpy as np
import pandas as pd

from sklearn_looped import Calculator, FleqMachine, SigmoidSum, SubleqMachine

logarithm = SigmoidSum.fit(np.log, (1.0, 2.0), tol=1e-6)
print(f"log(4) by the sum alone: {float(logarithm(4.0)):.3f}; it is {np.log(4):.3f}")

# %%
# The same sum is an instruction of this machine. Hidden units compare the operand with the ends of
# the interval, and the error names the value, the instruction, its line and the step.

machine = FleqMachine(n_memory=8, n_instructions=6, functions={"log": logarithm})
program = machine.assemble("""
x:  .word 1.0
y:  .word 0
    add x, x, x         ; 2, and log is known there
    log x, y
    add x, x, x
    log x, y            ; 4
""")
try:
    machine.run(program)
except ValueError as error:
    print(error)

# %%
# With ``on_fault="return"`` the run returns the state before the instruction: y is still log(2).
# The program counter stays at the instruction, however long the loop goes on.

result = machine.run(program, on_fault="return")
print(result.fault)
print(f"y = {result['y'].values[0]:.6f}, halted: {result.halted}, program counter: {result.pc}")
states = machine.transformer.run(result.state, 50, evaluation="fast")
print("program counter of the next 50 loops:", {machine.pc(state) for state in states})

# %%
# A result beyond the range of the numbers is a fault, too, whether cells hold real numbers or
# integers. A SUBLEQ machine declared with ``overflow="wrap"`` wraps around, as a processor does.

print(machine.run("x: .word 1e200\n multiply x, x, x", on_fault="return").fault)
text = "x: .word -100, 100\n subleq x, x+1"  # 100 - (-100) in 8 bits
trapping = SubleqMachine(n_memory=6, n_instructions=3, n_bits=8)
print(trapping.run(text, on_fault="return").fault)
wrapping = SubleqMachine(n_memory=6, n_instructions=3, n_bits=8, overflow="wrap")
print("wrapped around:", wrapping.run(text).block("x", 2)[1])

# %%
# The calculator stops with a fault where an operation has no finite result: its program tests the
# operands and executes the instruction ``trap``, or a result is beyond the range of the numbers.

calculator = Calculator()
rows = []
for operation, *operands in (
    ("sqrt", -4.0), ("divide", 5.0, 0.0), ("log", 0.0), ("exp", 710.0), ("power", -2.0, 0.5),
    ("multiply", 1e200, -1e200), ("divide", 5.0, -2.0),
):  # fmt: skip
    result = calculator.run(operation, *operands, on_fault="return")
    value = None if result.fault else result["z"].values[0]
    call = f"{operation}({', '.join(map(str, operands))})"
    rows.append({"call": call, "value": value, "fault": result.fault and str(result.fault)})
with pd.option_context("display.max_colwidth", None):
    print(pd.DataFrame(rows).to_string(index=False, na_rep=""))
