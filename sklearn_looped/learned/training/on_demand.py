"""Weights meta-trained for one table's size on one prior, cached on disk by configuration."""

import hashlib
import json
import math
import os
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock

from sklearn_looped.learned.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.priors import PRIORS
from sklearn_looped.learned.training.recipe import Recipe

MAX_FEATURES, MIN_SUPPORT, MAX_SUPPORT = 32, 64, 512


def cache_folder() -> Path:
    """Return the folder of weights trained on demand.

    Returns
    -------
    folder : Path
        ``$SKLEARN_LOOPED_CACHE`` if that is set, else ``~/.cache/sklearn_looped``.
    """
    chosen = os.environ.get("SKLEARN_LOOPED_CACHE")
    return Path(chosen) if chosen else Path.home() / ".cache" / "sklearn_looped"


def configuration(prior: str, n_features: int, n_rows: int) -> tuple[NetworkConfig, Recipe]:
    """Network and recipe for a table: exactly its columns, rows up to the next power of two.

    Rounding the rows up lets the folds of a cross-validation share one training. Of a function
    class the network's estimator takes one view, the table as it is.

    Parameters
    ----------
    prior : str
        Name of a prior in `sklearn_looped.learned.priors`.
    n_features, n_rows : int
        Size of the table.

    Returns
    -------
    network : NetworkConfig
    recipe : Recipe

    Examples
    --------
    >>> from sklearn_looped.learned.training.on_demand import configuration
    >>> configuration("linear", 5, 40)[1].n_support
    (5, 64)
    """
    d = min(n_features, MAX_FEATURES)
    most = 2 ** math.ceil(math.log2(n_rows))
    most = min(max(most, MIN_SUPPORT), MAX_SUPPORT)
    network = NetworkConfig(
        n_features=d, width=128, n_heads=4, n_views=4 if prior == "tables" else 1
    )
    recipe = Recipe(
        n_steps=1600,
        n_features=(d, d),
        n_support=(max(2, d), most),
        n_query=32,
        n_loops=(3, 8),
        rows_per_step=2048,
        lr=2e-3,
        muon_lr=0.02,
    )
    return network, recipe


def meta_trained(
    prior: str, n_features: int, n_rows: int, device: str = "auto", verbose: int = 0
) -> Checkpoint:
    """Return weights meta-trained on a prior for tables of one size, training them if need be.

    Trained once for each configuration and machine: the result lies in `cache_folder`, other
    processes wait for it, and a training that was killed resumes.

    Parameters
    ----------
    prior : str
        A name of `sklearn_looped.learned.priors.PRIORS`.
    n_features, n_rows : int
        Size of the support.
    device : str, default="auto"
    verbose : int, default=0

    Returns
    -------
    Checkpoint

    Raises
    ------
    OSError
        If the weights are not there and `cache_folder` cannot be written to.
    """
    network, recipe = configuration(prior, n_features, n_rows)
    identity = json.dumps([str(PRIORS[prior]), asdict(network), asdict(recipe)], sort_keys=True)
    key = hashlib.sha256(identity.encode()).hexdigest()[:16]
    folder = cache_folder() / f"{prior}-{key}"
    path = folder / "weights.safetensors"
    if not path.exists():
        with _lock(folder):
            _train_once(path, prior, network, recipe, device, verbose)
    return load_checkpoint(path)


def _lock(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "lock").touch()
    except OSError as error:
        raise OSError(
            f"Weights trained on demand are kept in {folder}, but nothing can be written there "
            f"({error}). Set the environment variable SKLEARN_LOOPED_CACHE to a folder of your own."
        ) from error
    return FileLock(folder / "lock")


def _train_once(
    path: Path, prior: str, network: NetworkConfig, recipe: Recipe, device: str, verbose: int
) -> None:
    """Train unless another process has, while this one waited for the lock."""
    if path.exists():
        return
    from sklearn_looped.learned.training.metatrain import meta_train  # skorch takes seconds

    run = meta_train(
        network,
        PRIORS[prior],
        recipe,
        folder=path.parent,
        device=device,
        distributed=False,  # other processes wait for the lock, or fit something else
        verbose=verbose,
    )
    save_checkpoint(run.network, path, {"prior": str(PRIORS[prior])})
    (path.parent / "state.safetensors").unlink()
