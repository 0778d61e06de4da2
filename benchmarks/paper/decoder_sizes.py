"""Sizes of the decoders of Yang et al. 2024, of their prompts and of their training, by budget."""

from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.paper.prompts import Task
from sklearn_looped.learned.priors import (
    DecisionTreePrior,
    LinearPrior,
    ReLUNetworkPrior,
    SparseLinearPrior,
)


@dataclass(frozen=True)
class Budget:
    """Sizes of networks, prompts and steps; the defaults are the paper's."""

    n_features: tuple[int, int] = (5, 20)
    few: tuple[int, int] = (10, 40)  # examples of linear functions
    many: tuple[int, int] = (25, 100)  # of trees and networks
    width: int = 256
    n_heads: int = 8
    n_layers: int = 12  # of the unlooped network
    loops: dict[str, tuple[int, int]] = field(
        default_factory=lambda: {
            "linear": (20, 15), "sparse": (20, 10), "trees": (70, 15), "ReLU": (12, 5),
        }
    )  # fmt: skip
    grid: tuple[tuple[int, ...], tuple[int, ...]] = ((12, 20, 30, 40, 50, 70), (5, 10, 15))
    n_steps: int = 500_000
    n_prompts: int = 64  # of a step
    every: tuple[int, int, int] = (5000, 5000, 500)
    moved: dict[str, Any] = field(default_factory=lambda: {"lr": 1e-4})  # how: Adam
    sparsity: int = 3
    depth: int = 4
    n_hidden: int = 100
    held_out: int = 1280

    def task(self, name: str) -> Task:
        """Give a function class by name."""
        d, (few, many) = self.n_features[1], (self.few[1], self.many[1])
        return {
            "linear": Task(LinearPrior(), d, few, d),
            "sparse": Task(SparseLinearPrior(self.sparsity), d, few, self.sparsity),
            "trees": Task(DecisionTreePrior(self.depth), d, many, 1.0),
            "ReLU": Task(ReLUNetworkPrior(self.n_hidden), d, many, d),
        }[name]


# Adam needs several times as many steps to leave the prediction of zero.
MUON: dict[str, Any] = {
    "optimizer": "muon", "lr": 2e-3, "muon_lr": 0.02, "max_norm": 1.0, "warmup": 0.02, "decay": 0.3,
    "average": 0.9,
}  # fmt: skip
LAPTOP = Budget(
    n_features=(1, 5), few=(10, 10), many=(10, 20), width=64, n_heads=4, n_layers=4,
    loops={"linear": (6, 4), "sparse": (6, 4), "trees": (8, 4), "ReLU": (6, 4)},
    grid=((4, 6, 12), (4,)), n_steps=2000, n_prompts=32, every=(250, 250, 150), moved=MUON,
    sparsity=2, depth=2, n_hidden=10, held_out=1280,
)  # fmt: skip
NIGHT = Budget(
    n_features=(5, 10), few=(10, 20), many=(10, 40), width=128, n_heads=4, n_layers=8,
    loops={"linear": (12, 8), "sparse": (12, 8), "trees": (20, 10), "ReLU": (12, 5)},
    grid=((8, 12, 20, 30, 70), (5, 8)), n_steps=50_000, every=(1500, 1500, 200), moved={"lr": 2e-4},
    sparsity=3, depth=3, n_hidden=40,
)  # fmt: skip
BUDGETS = {
    "laptop": LAPTOP,
    # For the figure "b and T": b grows fast enough to be reached.
    "laptop, b=70": replace(LAPTOP, grid=((12, 70), (10,)), every=(250, 250, 20)),
    "laptop, d=10": replace(LAPTOP, n_features=(1, 10), few=(10, 20), n_steps=6000),
    "night": NIGHT,
    # For a quarter of an hour of a GPU, on which large steps cost no more than small ones.
    "GPU, d=10": replace(
        NIGHT, n_features=(1, 10), n_steps=8000, n_prompts=1024, every=(250, 250, 150), moved=MUON
    ),
    "night, d=20": replace(NIGHT, n_features=(5, 20), few=(10, 40)),
    "paper": Budget(),
}
