"""
One frozen network, six programs and a calculator
=================================================

`UniversalMachine` is one looped transformer of three layers. What it computes is on its tape:
matrix product and transposition, the inverse by Newton's method, power iteration, stochastic
gradient descent and backpropagation are programs, one instruction a loop (Giannou et al. 2023).
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit
from sklearn.linear_model import SGDRegressor

from sklearn_looped import Calculator, UniversalMachine
from sklearn_looped.programmed.machines.programs import INVERSE
from sklearn_looped.programmed.machines.universal_result import TwoLayers

machine = UniversalMachine(size=3)
before = machine.transformer.fingerprint()
print("heads by layer:", [len(layer.heads) for layer in machine.transformer.layers])
print("columns of a token:", machine.fields.width)

# %%
# This is the program of the inverse, in rounds of Newton's method. A cell is a matrix, ``matmul``
# and ``transpose`` are instructions made of attention heads, and the program itself ends its loop.

print(INVERSE)

# %%
# The table has the largest difference of each result from that of numpy or scikit-learn. The
# weights are the same after all programs.

rng = np.random.default_rng(0)
A, B = rng.normal(size=(2, 3, 3))
S = np.diag([3.0, 1.0, -0.5]) + 0.1 * (A + A.T)
X, w = rng.normal(size=(20, 3)), np.array([1.0, -2.0, 0.5])
y = X @ w
options = {"penalty": None, "learning_rate": "constant", "fit_intercept": False, "shuffle": False}
sgd = SGDRegressor(**options, eta0=0.05, max_iter=3, tol=None).fit(X, y)
eigenpair = machine.power_iteration(S)
results = {
    "product": (machine.matmul(A, B), A @ B),
    "transpose": (machine.transpose(A), A.T),
    "inverse": (machine.inv(A), np.linalg.inv(A)),
    "power iteration": (eigenpair._replace(value=eigenpair.value.eigenvalue),
                        np.linalg.eigvalsh(S)[-1]),
    "linear SGD": (machine.linear_sgd(X, y, rate=0.05, epochs=3), sgd.coef_),
}  # fmt: skip
print(f"sin(1e300) = {Calculator(machine)('sin', 1e300):.12f}, numpy has {np.sin(1e300):.12f}")
print(f"weights unchanged: {machine.transformer.fingerprint() == before}")
pd.DataFrame({
    name: {"instructions run": result.run.n_loops,
           "largest difference": np.max(np.abs(result.value - answer))}
    for name, (result, answer) in results.items()
}).T  # fmt: skip

# %%
# Backpropagation trains a network of two layers, by 28 instructions a sample. Each call goes on
# from the weights of the epoch before.

targets = np.tanh(X @ w)
network = TwoLayers([rng.normal(size=(3, 3)), rng.normal(size=(3, 1))], [np.zeros(3), np.zeros(1)])
losses = []
for _ in range(10):
    network = machine.backpropagation(X, targets, network, rate=0.2).value
    hidden = expit(X @ network.coefs[0] + network.intercepts[0])
    output = hidden @ network.coefs[1] + network.intercepts[1]
    losses.append(np.mean((output[:, 0] - targets) ** 2))
figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.plot(range(1, 11), losses, marker="o")
axes.set(xlabel="epochs", ylabel="mean squared error")
plt.show()
print(f"weights unchanged: {machine.transformer.fingerprint() == before}")

# %%
# A problem without a result is a fault: this matrix is singular.

try:
    machine.inv([[1.0, 2.0], [2.0, 4.0]])
except ValueError as error:
    print(error)
