"""The shipped weights: network, prior, recipe and what to compare with, by name."""

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

from sklearn_looped.learned.held_out import SIZES, Sizes
from sklearn_looped.learned.network import NetworkConfig
from sklearn_looped.learned.priors import PRIORS, Prior, SyntheticTables, TwoClassTables
from sklearn_looped.learned.recipe import Recipe


@dataclass(frozen=True)
class Pretraining:
    """All that makes a shipped checkpoint: network, prior, recipe, start, and what to warn of.

    `start` names the pretraining to begin from; `gate` is the recipe of an exit gate, trained
    on the finished network. `score`, one of `held_out.SCORES`, is taken on held-out tables of
    `sizes`, of the network and of `rivals`.
    """

    network: NetworkConfig
    prior: Prior
    recipe: Recipe
    limits: str
    rivals: dict[str, BaseEstimator]
    start: str | None = None
    gate: Recipe | None = None
    sizes: Sizes = SIZES
    score: str = "R2, clipped to [-1, 1]"


def _function_class(
    prior: str,
    n_loops: int,
    recipe: Recipe,
    n_examples: int,
    rivals: dict[str, BaseEstimator],
    start: str | None = None,
) -> Pretraining:
    """Weights for one of the four function classes of Yang et al. 2024, d = 20."""
    low, high = recipe.n_support
    return Pretraining(
        NetworkConfig(n_features=20, n_loops=n_loops, n_views=1),
        PRIORS[prior],
        recipe,
        f"Only for functions of this class on tables of 20 standard normal columns and {low} to "
        f"{high} support rows: nothing else was seen, and errors grow fast outside.",
        rivals,
        start,
        sizes=((n_examples, 20),),
        score="squared error over E[y^2]",
    )


D20 = (20, 20)
TABLE_SIZES = (
    "Tables of up to 32 columns and 512 support rows were seen in training; more rows are "
    "handled, but untrained. Nothing but synthetic tables was seen. "
)
PRETRAININGS = {
    "tabular": Pretraining(
        NetworkConfig(),
        SyntheticTables(),
        Recipe(n_steps=8500),
        TABLE_SIZES + "Sharp steps and tables without noise are learned less precisely than by "
        "tree ensembles or least squares. On five of 25 OpenML regression sets LassoCV predicts "
        "better: Moneyball, chatfield_4, plasma_retinol, quake and solar_flare, all nearly linear "
        "or next to noise. All scores: [docs/benchmarks.md](../../../docs/benchmarks.md).",
        {
            "RidgeCV": make_pipeline(StandardScaler(), RidgeCV([10.0**k for k in range(-3, 4)])),
            "random forest": RandomForestRegressor(random_state=0),
        },
        gate=Recipe(n_steps=1000, n_loops=(8, 8), lr=2e-3, muon_lr=5e-3, loss="gate", seed=2),
    ),
    "tabular-classifier": Pretraining(
        NetworkConfig(n_quantiles=0),
        TwoClassTables(),
        Recipe(n_steps=4000, lr=5e-4, muon_lr=5e-3, decay=0.8, seed=1),
        TABLE_SIZES + "Two classes at a time: more are told apart one against the rest.",
        {
            "LogisticRegression": make_pipeline(StandardScaler(), LogisticRegression()),
            "random forest": RandomForestClassifier(random_state=0),
        },
        start="tabular",
        score="accuracy",
    ),
    "linear-start": _function_class(  # not shipped: where the next begin
        "linear", 12, Recipe(3000, D20, (16, 44), 24, (6, 16)), 40, {"OLS": LinearRegression()}
    ),
    "linear": _function_class(
        "linear",
        12,
        Recipe(
            700,
            D20,
            (16, 44),
            24,
            (8, 48),
            n_grad_loops=8,
            lr=5e-4,
            muon_lr=5e-3,
            decay=0.8,
            seed=1,
        ),
        40,
        {"OLS": LinearRegression()},
        start="linear-start",
    ),
    "sparse-linear": _function_class(
        "sparse-linear",
        12,
        Recipe(3000, D20, (6, 44), 24, (4, 12), seed=2),
        40,
        {"OLS": LinearRegression(), "LassoCV": LassoCV()},
        start="linear-start",
    ),
    "decision-tree": _function_class(
        "decision-tree",
        8,
        Recipe(4500, D20, (24, 104), 40, (5, 9)),
        100,
        {
            "decision tree": DecisionTreeRegressor(random_state=0),
            "gradient boosting": GradientBoostingRegressor(random_state=0),
        },
    ),
    "relu-network": _function_class(
        "relu-network",
        8,
        Recipe(3000, D20, (16, 104), 40, (4, 10), lr=5e-4, muon_lr=5e-3, decay=0.8, seed=3),
        100,
        {
            "RidgeCV": RidgeCV([10.0**k for k in range(-3, 4)]),
            "gradient boosting": GradientBoostingRegressor(random_state=0),
        },
        start="linear-start",
    ),
}
