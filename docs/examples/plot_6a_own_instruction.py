"""
A function of your own as an instruction
========================================

`FleqMachine` is a looped transformer that runs one instruction a loop. Its instructions can be
functions of your own: `SigmoidSum` finds a sum of a few sigmoids for a function of one variable,
as Barron's theorem promises, and the machine computes it by attention, a softmax over two keys for
every sigmoid (Giannou et al. 2023, Lemma 5).
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import expit

from sklearn_looped import FleqMachine, SigmoidSum

wave = SigmoidSum.fit(np.sin, (0.0, np.pi), tol=1e-4)
print(f"{wave.n_terms} sigmoids, error certified below {wave.error_bound:.1e}")

# %%
# The bound holds on the whole interval, not on a grid: Taylor series in interval arithmetic bound
# what lies between the points. Measured errors are below it.

x = np.linspace(*wave.domain, 2000)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for a, b, c in zip(wave.slopes, wave.offsets, wave.coefficients, strict=True):
    left.plot(x, c * expit(a * x + b), color="0.7")
left.plot(x, wave(x), label="their sum and a constant")
left.set(xlabel="x", title=f"{wave.n_terms} sigmoids, scaled")
left.legend(frameon=False)
right.semilogy(x, np.abs(wave(x) - np.sin(x)), label="measured")
right.axhline(wave.error_bound, color="C1", label="certified bound")
right.set(xlabel="x", ylabel="error")
right.legend(frameon=False)
plt.show()

# %%
# A machine that is given the sum by name has it as an instruction. This program adds up the sine at
# four places: the integral from 0 to pi, which is 2, by the midpoint rule.

machine = FleqMachine(n_memory=16, n_instructions=12, functions={"wave": wave})
text = """
x:      .word 0.39269908169872414   ; pi / 8
total:  .word 0
left:   .word 4
y:      .word 0
next:   wave x, y
        add total, y, total
        add x, #0.7853981633974483, x
        subtract left, #1, left
        branch left, done
        jump next
done:   multiply total, #0.7853981633974483, total
"""
result = machine.run(text)
print(f"integral {result['total'].values[0]:.5f} after {result.n_loops} loops")

# %%
# The certificate says what the function costs and how far off it can be: the layers behind the one
# that reads the operands, the heads, the columns of a token, and the bound of the error.

machine.certificate.functions["wave"]

# %%
# A smaller tolerance takes more terms. The machine still has three layers, since all terms are
# heads of the same layer.

for tol in (1e-2, 1e-4, 1e-6, 1e-8):
    fitted = SigmoidSum.fit(np.sin, (0.0, np.pi), tol)
    network = FleqMachine(16, 12, functions={"wave": fitted})
    heads = [len(layer.heads) for layer in network.transformer.layers]
    print(f"tol {tol:g}: {fitted.n_terms} terms, heads by layer {heads}")
