"""What test_processes.py starts in several processes: FOLDER gets each one's results."""

import itertools
import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.checkpoints import load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.training import trainer
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.pretrain import Pretraining, _joined_curve, _places, _train
from sklearn_looped.learned.training.recipe import Recipe

NETWORK = NetworkConfig(n_features=3, width=32, n_heads=2, n_quantiles=7)
RECIPE = Recipe(
    n_steps=12, n_features=(1, 3), n_support=(6, 24), n_query=8, n_loops=(1, 3), rows_per_step=256
)  # fmt: skip
JOB = Pretraining(
    NETWORK, LinearPrior(), RECIPE, "", {},
    then=(replace(RECIPE, n_steps=3, lr=5e-4), replace(RECIPE, n_steps=2, lr=2e-4)),
    gate=Recipe(3, n_features=(2, 2), n_query=8, n_support=(9, 9), rows_per_step=64, loss="gate"),
)  # fmt: skip


def single_precision(device):
    return torch.float32


class Stopping(LinearPrior):
    draws = itertools.count(1)

    def sample(self, generator, n_tables, n_rows, n_features):
        if next(self.draws) == 7:
            raise InterruptedError
        return super().sample(generator, n_tables, n_rows, n_features)


Stopping.__qualname__ = "LinearPrior"


def main(folder):
    torch.set_num_threads(1)
    processes = Processes.joined()
    rank = processes.rank
    results = {"bfloat16": meta_train(NETWORK, LinearPrior(), RECIPE).losses}
    trainer.training_dtype = single_precision
    run = meta_train(NETWORK, LinearPrior(), RECIPE, verbose=1)
    save_checkpoint(run.network, folder / f"{rank}.safetensors")
    results |= {"float32": run.losses, "n_tables": run.n_tables}
    shared = folder / "run"
    try:
        meta_train(NETWORK, Stopping(), RECIPE, folder=shared, save_every=0.0)
    except InterruptedError:
        processes.gather("the first has saved")
        results["resumed"] = meta_train(NETWORK, LinearPrior(), RECIPE, folder=shared).losses
    try:
        meta_train(NETWORK, LinearPrior(), RECIPE, folder=folder / f"run{rank or ''}")
    except ValueError as error:
        results["refused"] = str(error)
    _, network = _train("tiny", JOB, folder / "pretraining", "cpu", 0)
    save_checkpoint(network, folder / f"gated{rank}.safetensors")
    results["curve"] = _joined_curve(_places(JOB, folder / "pretraining"))
    results["digests"] = [
        load_checkpoint(folder / f"{name}{rank}.safetensors").digest for name in ("", "gated")
    ]
    (folder / f"{rank}.json").write_text(json.dumps(results))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
