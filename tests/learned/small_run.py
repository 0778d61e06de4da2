"""A meta-training run of a second, and how far one has come."""

from safetensors import safe_open

from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.training.recipe import Recipe

NETWORK = NetworkConfig(n_features=3, width=32, n_heads=2, n_quantiles=7)
RECIPE = Recipe(
    n_steps=200, n_features=(1, 3), n_support=(6, 24), n_query=8, n_loops=(1, 3), rows_per_step=256
)  # fmt: skip


def steps_done(folder):
    path = folder / "state.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        return len(file.get_tensor("losses"))
