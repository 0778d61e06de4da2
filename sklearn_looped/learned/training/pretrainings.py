"""The shipped weights: network, prior, recipe and what to compare with, by name.

Every recipe begins from random weights. The shipped weights of the function classes are older than
these recipes: they came from several runs, each begun where the one before ended. Their cards list
these runs.
"""

from dataclasses import dataclass

from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LassoCV, LinearRegression, LogisticRegression, RidgeCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import (
    ClassTables,
    DecisionTreePrior,
    IllConditionedLinearPrior,
    LinearPrior,
    Prior,
    ReLUNetworkPrior,
    SparseLinearPrior,
    SyntheticTables,
)
from sklearn_looped.learned.training.held_out import SIZES, Sizes
from sklearn_looped.learned.training.recipe import Recipe


@dataclass(frozen=True)
class Pretraining:
    """All that makes a shipped checkpoint: network, prior, recipes, and what to warn of.

    Each recipe of `then` goes on from the weights of the one before, the first from those of
    `recipe`; `gate` is the recipe of an exit gate, trained on the finished network. `score`, one of
    `held_out.SCORES`, is taken on held-out tables of `sizes`, of the network and of `baselines`.
    """

    network: NetworkConfig
    prior: Prior
    recipe: Recipe
    limits: str
    baselines: dict[str, BaseEstimator]
    then: tuple[Recipe, ...] = ()
    gate: Recipe | None = None
    sizes: Sizes = SIZES
    score: str = "R2, clipped to [-1, 1]"

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """Recipes of the network, in their order."""
        return self.recipe, *self.then


def _function_class(
    prior: Prior,
    n_loops: int,
    recipe: Recipe,
    n_examples: int,
    baselines: dict[str, BaseEstimator],
    centre: bool = False,
) -> Pretraining:
    """Weights for one of the four function classes of Yang et al. 2024, d = 20, or for like ones.

    All have their zero points in common: inputs are about zero, lines go through the origin, trees
    ask for signs. Centring hides these, and costs about one example.
    """
    low, high = recipe.n_support
    zero = "" if centre else " Zero points count: neither columns nor target are centred."
    return Pretraining(
        NetworkConfig(n_features=20, n_loops=n_loops, n_views=1, centre=centre),
        prior,
        recipe,
        f"Only for functions of this prior in 20 columns, from {low} to {high} support rows: "
        f"nothing else was seen, and errors grow fast outside.{zero}",
        baselines,
        sizes=((n_examples, 20),),
        score="squared error over E[y^2]",
    )


D20 = (20, 20)
LINEAR_BASELINES: dict[str, BaseEstimator] = {"OLS": LinearRegression(fit_intercept=False)}
SPARSE_BASELINES = LINEAR_BASELINES | {"LassoCV": LassoCV(fit_intercept=False)}
TREE_BASELINES = {
    "decision tree": DecisionTreeRegressor(random_state=0),
    "gradient boosting": GradientBoostingRegressor(random_state=0),
}
RELU_BASELINES = {
    "RidgeCV": RidgeCV([10.0**k for k in range(-3, 4)]),
    "gradient boosting": GradientBoostingRegressor(random_state=0),
}
TABLES_SEEN = (
    "Tables of up to {columns} columns and {rows} support rows were seen in training; more rows "
    "are handled, but untrained. Nothing but synthetic tables was seen. "
)
PRETRAININGS = {
    "tabular": Pretraining(
        NetworkConfig(
            width=320, n_heads=10, n_loops=6, experts=True, feed_forward=2, n_bases=8, feedback=True
        ),
        SyntheticTables(),
        Recipe(
            n_steps=9_219,
            n_features=(1, 48),
            n_support=(8, 1024),
            n_loops=(3, 6),
            window=2,
            warmup=0.00586,
            decay=0.0,  # a longer run goes on from the end of this one
            seed=1,
        ),
        TABLES_SEEN.format(columns=48, rows=1024)
        + "The experts do most of the work. Linear models predict better on some tables that are "
        "nearly linear or nearly noise, extra trees on tables with outliers. "
        "All scores: [docs/benchmarks.md](../../../docs/benchmarks.md).",
        {
            "RidgeCV": make_pipeline(StandardScaler(), RidgeCV([10.0**k for k in range(-3, 4)])),
            "random forest": RandomForestRegressor(random_state=0),
        },
        gate=Recipe(n_steps=150, n_loops=(6, 6), lr=2e-3, muon_lr=5e-3, loss="gate", seed=2),
    ),
    "tabular-classifier": Pretraining(
        NetworkConfig(
            n_classes=10,
            width=320,
            n_heads=10,
            n_loops=3,
            experts=True,
            feed_forward=2,
            n_bases=8,
            feedback=True,
        ),
        ClassTables(),
        Recipe(
            n_steps=2_800,
            n_features=(1, 48),
            n_support=(8, 512),
            n_loops=(2, 3),
            window=2,
            rows_per_step=2048,
            warmup=0.00571,
            decay=0.2857,
            seed=1,
        ),
        TABLES_SEEN.format(columns=48, rows=512)
        + "Up to ten classes are predicted in one pass, more in passes that separate ten groups.",
        {
            "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression()),
            "random forest": RandomForestClassifier(random_state=0),
        },
        sizes=((32, 4), (128, 8), (256, 12)),
        score="log loss",
    ),
    "linear": _function_class(
        LinearPrior(),
        12,
        Recipe(3000, D20, (16, 44), 24, (6, 16)),
        40,
        LINEAR_BASELINES,
        centre=True,
    ),
    "ill-conditioned-linear": _function_class(
        IllConditionedLinearPrior((1.0, 100.0)),
        12,
        Recipe(4900, D20, (10, 44), 24, (8, 24), n_grad_loops=8, seed=6),
        40,
        LINEAR_BASELINES,
    ),
    "sparse-linear": _function_class(
        SparseLinearPrior(),
        16,
        Recipe(11000, D20, (4, 44), 16, (4, 20), n_grad_loops=8, seed=8),
        40,
        SPARSE_BASELINES,
    ),
    "decision-tree": _function_class(
        DecisionTreePrior(),
        8,
        Recipe(8700, D20, (24, 104), 40, (5, 9), seed=5),
        100,
        TREE_BASELINES,
    ),
    "relu-network": _function_class(
        ReLUNetworkPrior(),
        8,
        Recipe(3600, D20, (16, 104), 40, (4, 10), seed=7),
        100,
        RELU_BASELINES,
    ),
}
