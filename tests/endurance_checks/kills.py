"""A meta-training killed again and again (SIGKILL) ends with the weights of an unbroken one."""

import multiprocessing
import random
import time
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file

from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import LinearPrior
from sklearn_looped.learned.training.metatrain import meta_train
from sklearn_looped.learned.training.recipe import Recipe

NETWORK = NetworkConfig(n_features=3, width=32, n_heads=2, n_quantiles=7)
SAVE_EVERY = 0.1  # seconds: most kills fall near a save, some within one


def recipe(n_steps: int) -> Recipe:
    return Recipe(
        n_steps, n_features=(1, 3), n_support=(6, 24), n_query=8, n_loops=(1, 3), rows_per_step=256
    )  # fmt: skip


def train(folder: Path, n_steps: int, device: str = "cpu") -> None:
    """Train to the end, from the state in the folder if there is one."""
    torch.set_num_threads(1)
    prior = LinearPrior()
    meta_train(NETWORK, prior, recipe(n_steps), folder=folder, save_every=SAVE_EVERY, device=device)


def steps_done(folder: Path) -> int:
    """Count the steps in the saved state; a state that is not whole is an error."""
    path = folder / "state.safetensors"
    if not path.exists():
        return 0
    with safe_open(path, "pt") as file:
        return len(file.get_tensor("losses"))


def killed_once(context: Any, folder: Path, n_steps: int, delay: float) -> bool:
    """Train, and kill `delay` seconds after the first new save; False: it came to the end."""
    begun = steps_done(folder)
    process = context.Process(target=train, args=(folder, n_steps))
    process.start()
    while process.is_alive() and steps_done(folder) == begun:
        process.join(timeout=0.03)
    process.join(timeout=delay)
    alive = process.is_alive()
    process.kill()
    process.join()
    return bool(alive)


def same_end(one: Path, other: Path) -> bool:
    """Whether two finished runs agree in every bit of weights, optimisers and losses."""
    ours, theirs = (load_file(folder / "state.safetensors") for folder in (one, other))
    if ours.keys() != theirs.keys():
        return False
    return all(torch.equal(t, theirs[k]) for k, t in ours.items() if k != "cost")  # cost: seconds


def killed_training(n_kills: int, n_steps: int, folder: Path) -> dict[str, Any]:
    """kills at random times, then one run to the end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["endurance_checks.kills", "torch._dynamo"])
    start = time.monotonic()
    train(folder / "unbroken", n_steps)
    moments = random.Random(0)
    longest = (time.monotonic() - start) / n_kills  # kills are spread over half of the run
    kills = torn = 0
    for _ in range(n_kills):
        kills += killed_once(context, folder / "killed", n_steps, moments.uniform(0, longest))
        try:
            steps_done(folder / "killed")
        except SafetensorError:
            torn += 1
    reached = steps_done(folder / "killed")
    train(folder / "killed", n_steps)
    equal = same_end(folder / "unbroken", folder / "killed")
    said = (
        f"{kills} kills, {kills} resumptions, the last from step {reached} of {n_steps}; "
        f"{torn} torn states; final state {'equal' if equal else 'NOT equal'} to the bit"
    )
    return {"trials": n_kills, "outcome": said, "broken": torn + (not equal), "notes": {}}
