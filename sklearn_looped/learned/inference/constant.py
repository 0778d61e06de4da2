"""Tables whose rows are all the same: nothing to learn from, so the target's own distribution."""

import numpy as np

from sklearn_looped.learned.inference.encoding import Array, Support
from sklearn_looped.learned.inference.ensemble import ByLoop, Outcome, SupportEnsemble
from sklearn_looped.learned.inference.members import Memories
from sklearn_looped.learned.model.network import LoopedNetwork, NetworkConfig
from sklearn_looped.learned.model.readout import quantile_levels


def is_constant(X: Array) -> bool:
    """Whether all rows of X (n, d) are the same, missing cells included."""
    return bool(((X[:1] == X) | (np.isnan(X) & np.isnan(X[:1]))).all())


def target_distribution(support: Support, config: NetworkConfig) -> Array:
    """Weighted mean and quantiles of each target, or the share of a class, (T, n_outputs)."""
    weights = np.ones(len(support.Y)) if support.weights is None else support.weights
    mean = np.average(support.Y, axis=0, weights=weights)[:, None]
    if config.classifies:
        return mean
    wanted = quantile_levels(config.n_quantiles).double().numpy()
    quantiles = []
    for y in support.Y.T:
        order = np.argsort(y)
        levels = (np.cumsum(weights[order]) - weights[order] / 2) / weights.sum()
        quantiles.append(np.interp(wanted, levels, y[order]))
    return np.hstack([mean, quantiles])


class ConstantEnsemble(SupportEnsemble):
    """An ensemble that predicts the distribution of the support's targets for every query."""

    def output(self, config: NetworkConfig, n_queries: int) -> Array:
        """Output (T, q, n_outputs) for any queries."""
        return np.repeat(target_distribution(self.support, config)[:, None], n_queries, axis=1)

    def predict_by_loop(self, network: LoopedNetwork, memories: Memories, X: Array) -> ByLoop:
        """Yield the same after every loop; queries may leave the loop at once."""
        output = self.output(network.config, len(X))
        for _ in range(memories.n_loops):
            leaving = None if network.gate is None else np.ones(output.shape[1])
            staying = yield Outcome(output, leaving)
            if staying is not None:
                output = output[:, staying]
