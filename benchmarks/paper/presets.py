"""Architectures of the papers by name."""

from sklearn_looped.learned.model.config import NetworkConfig

PRESETS = {
    "looped": NetworkConfig(),  # Yang et al. 2024: the loop alone
    "algoformer": NetworkConfig(n_pre_blocks=1, n_post_blocks=1),  # Gao et al. 2024
    "unlooped": NetworkConfig(n_pre_blocks=11, n_loops=1),  # the 12 layers both compare with
}
