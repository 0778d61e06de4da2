"""
Programmed, then learned
========================

The two halves of the library meet in `sklearn_looped.bridge`. A loop body of linear attention is
built so that one loop is one Newton-like step on in-context linear regression; its step sizes are
then parameters, and meta-training improves them from there.
"""

# %%
# A prior whose inputs have condition numbers up to 1,000, where plain gradient descent crawls. 120
# steps of meta-training are enough for eight numbers.

import time

import matplotlib.pyplot as plt
import numpy as np
import torch

from sklearn_looped.bridge import DescentConfig
from sklearn_looped.learned.priors import IllConditionedLinearPrior
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe

config = DescentConfig(n_features=6, newton=True, trained=("step_size", "whitening"))
recipe = Recipe(
    n_steps=120,
    n_features=(6, 6),
    n_support=(64, 64),
    n_query=16,
    n_loops=(2, 10),
    window=1,
    rows_per_step=16 * 80,
    lr=0.02,
    weight_decay=0.0,
    average=0.95,
)
prior = IllConditionedLinearPrior(condition=(1.0, 1e3))
start = time.process_time()
run = meta_train(config, prior, recipe)
print(f"{run.n_tables:,} tables, {time.process_time() - start:.0f} s of processor time")
networks = {"constructed": config.build(), "then learned": run.network}
for name, network in networks.items():
    print(name, network.steps()[0])

# %%
# New tables, from another seed: the normalised squared error after each loop.

test = Recipe(**{**vars(recipe), "n_steps": 1, "seed": 1, "rows_per_step": 40 * 80})
prompt, target = PromptStream(prior, test, 0).prompt(0)
target = target.y.double()
figure, axes = plt.subplots(figsize=(7, 3.8), layout="constrained")
for name, network in networks.items():
    with torch.inference_mode():
        outputs = network(prompt["X"], prompt["y"], n_loops=14, window=14)[..., 0]
    error = ((outputs - target) ** 2).sum(-1) / (target**2).sum(-1)  # (loops, tables)
    [line] = axes.semilogy(range(1, 15), error.median(1).values, marker="o", label=name)
    low, high = np.quantile(error.numpy(), [0.25, 0.75], axis=1)
    axes.fill_between(range(1, 15), low, high, color=line.get_color(), alpha=0.2)
    first = int((error.median(1).values < 1e-6).nonzero()[0]) + 1
    print(f"{name}: {first} loops to a median error of 1e-6")
axes.set(xlabel="loops", ylabel="squared error over that of 0", title="median and quartiles")
axes.legend(frameon=False)
plt.show()

# %%
# Conjugate gradients need fewer products with the table than either; what learned steps are worth
# is in :doc:`the benchmarks </benchmarks>`.
