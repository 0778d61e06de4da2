"""
Meta-training on a prior of your own
====================================

A prior is any object with a ``sample`` method that draws tables. `meta_train` teaches a network to
learn from such tables, and the weights then serve `LoopedICLRegressor` like the shipped ones.

The run below is a small one, so that this page builds in seconds: a network of width 64 for 300
steps. A couple of minutes of the same (2,000 steps) go further.
"""

# %%
# Our tables are damped oscillations of one variable, with noise. Nothing is known of a curve but
# its rows.

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch

from sklearn_looped import LoopedICLRegressor
from sklearn_looped.learned.checkpoints import save_checkpoint
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe


@dataclass(frozen=True)
class DampedOscillations:
    """Curves y = exp(-a x) sin(b x + c) with noise."""

    noise: float = 0.05

    def sample(self, generator, n_tables, n_rows, n_features):
        """Draw X (n_tables, n_rows, 1) and y (n_tables, n_rows)."""
        X = 3 * torch.rand(n_tables, n_rows, n_features, generator=generator)
        a, b, c = torch.rand(3, n_tables, 1, generator=generator)
        y = torch.exp(-a * X[..., 0]) * torch.sin((1 + 5 * b) * X[..., 0] + 6.3 * c)
        return X, y + self.noise * torch.randn(y.shape, generator=generator)


prior = DampedOscillations()

# %%
# Sizes are drawn anew at every step: 8 to 40 support rows, 3 to 8 loops. The run is a function of
# its arguments; with ``folder=`` it also survives being killed.

start = time.process_time()
run = meta_train(
    NetworkConfig(n_features=1, width=64, n_heads=2),
    prior,
    Recipe(
        n_steps=300,
        n_features=(1, 1),
        n_support=(8, 40),
        n_query=24,
        n_loops=(3, 8),
        rows_per_step=1024,
        lr=4e-3,
        muon_lr=0.03,
        average=0.98,
    ),
)
print(f"{run.n_tables:,} tables, {time.process_time() - start:.0f} s of processor time")

# %%
# The new weights beside the shipped ones, which know nothing of oscillations, on curves that
# neither has seen.

path = Path(tempfile.mkdtemp()) / "oscillations.safetensors"
save_checkpoint(run.network, path, {"prior": str(prior)})
models = {
    "own prior": LoopedICLRegressor(weights=path, n_estimators=1),
    "shipped weights": LoopedICLRegressor(n_estimators=1),
}
X, y = (part.numpy() for part in prior.sample(torch.Generator().manual_seed(1), 20, 80, 1))
for name, model in models.items():
    scores = [model.fit(x[:16], t[:16]).score(x[16:], t[16:]) for x, t in zip(X, y, strict=True)]
    print(f"{name}: median R2 of {len(X)} curves from 16 rows {np.median(scores):.3f}")

figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].plot(run.losses)
axes[0].set(xlabel="step", ylabel="training loss")
grid = np.linspace(0, 3, 100)[:, None]
for name, model in models.items():
    axes[1].plot(grid, model.fit(X[0, :16], y[0, :16]).predict(grid), label=name)
axes[1].plot(X[0, :16], y[0, :16], "ko", label="support")
axes[1].plot(X[0, 16:], y[0, 16:], "k.", markersize=3, label="held out")
axes[1].legend(frameon=False)
plt.show()
