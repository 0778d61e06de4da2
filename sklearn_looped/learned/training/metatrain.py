"""Meta-training: a looped network learns from a stream of prompts, resumable to the step."""

import os
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

import torch
from skorch.callbacks import Callback, GradientNormClipping
from torch import nn
from torch.utils.data import IterableDataset

from sklearn_looped.core.device import choose_device
from sklearn_looped.core.modes import in_own_modes
from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.checkpoints import Checkpoint
from sklearn_looped.learned.model.blocks import Block
from sklearn_looped.learned.model.causal import CausalConfig
from sklearn_looped.learned.model.causal_block import CausalBlock
from sklearn_looped.learned.model.config import NetworkConfig
from sklearn_looped.learned.model.language import LanguageConfig
from sklearn_looped.learned.model.readout import DistributionLoss, TokenLoss
from sklearn_looped.learned.priors import Prior
from sklearn_looped.learned.priors.sequences import Language
from sklearn_looped.learned.training.folders import folder_of_one_run
from sklearn_looped.learned.training.gate_losses import GateLoss, OuroLoss, signal_error
from sklearn_looped.learned.training.prompts import PromptStream
from sklearn_looped.learned.training.recipe import Recipe
from sklearn_looped.learned.training.run_state import EndOfStep, RunState
from sklearn_looped.learned.training.streams import PrefixStream, TokenStream
from sklearn_looped.learned.training.trainer import Trainer

Network = TypeVar("Network", bound=nn.Module)
Built = TypeVar("Built", bound=nn.Module, covariant=True)
_seeding = Lock()  # the global generator is that of all threads


class Trainable(Protocol[Built]):
    """A frozen dataclass that says what `meta_train` is to train.

    `LanguageConfig` is one for sequences of tokens, and those for tables are `TableTrainable`.
    """

    @property
    def loss(self) -> type[nn.Module]:
        """Loss of its outputs against the targets (B, q), a mean over tables or sequences."""

    def build(self) -> Built:
        """Build the module, with the weights that training starts from."""


class TableTrainable(Trainable[Built], Protocol[Built]):
    """What `meta_train` trains on tables, as `NetworkConfig` is.

    The module that it builds keeps it as `config`, takes what `LoopedNetwork.forward` takes and
    returns outputs (min(window, n_loops), B, q, n_outputs), and names the parameters that Muon
    moves in ``matrices()``. One in float64 is trained in float64.
    """

    @property
    def n_features(self) -> int:
        """Largest number of columns that it reads."""

    @property
    def centre(self) -> bool:
        """Whether canonical form takes the means off columns and target."""


def _criterion(network: Trainable, recipe: Recipe) -> nn.Module:
    """Loss that a recipe asks of a network."""
    if recipe.loss == "window":
        return network.loss()
    language = isinstance(network, LanguageConfig)
    gated = isinstance(network, NetworkConfig) and network.n_gate_units > 0
    if not language and (not gated or network.loss is not DistributionLoss):
        raise ValueError(
            f"Got loss={recipe.loss!r}, which trains the exit gate of a regressor or a language "
            f"model, but the network is {network}."
        )
    each = TokenLoss().of_each if language else DistributionLoss().of_each
    if recipe.loss == "ouro":
        return OuroLoss(each, recipe.beta)
    return GateLoss(each if language else signal_error, recipe.gamma, recipe.k)


def _stream(
    network: Trainable,
    prior: Any,
    recipe: Recipe,
    start: int,
    processes: Processes,
    device: torch.device,
) -> IterableDataset:
    """Prompts from step `start` on, as the network reads them."""
    if isinstance(network, LanguageConfig):
        return TokenStream(prior, recipe, start, processes)
    if isinstance(network, CausalConfig):
        return PrefixStream(prior, recipe, start, processes, device)
    tables = cast(TableTrainable, network)
    config = network if isinstance(network, NetworkConfig) else None
    return PromptStream(
        prior, recipe, start, tables.centre, _expert_columns(tables), processes,
        classifier=config if config is not None and config.classifies else None,
    )  # fmt: skip


def _built(network: Trainable[Network], recipe: Recipe, start: Checkpoint | None) -> Network:
    """Build the module under the recipe's seed, with the tensors of `start` that have its shapes.

    torch's global generator is left as it was.
    """
    with _seeding, torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        module = network.build()
    if start is not None:
        theirs = start.network.state_dict()
        module.load_state_dict(
            {
                name: theirs[name] if name in theirs and theirs[name].shape == own.shape else own
                for name, own in module.state_dict().items()
            }
        )
    return module


def _trainer(
    module: nn.Module,
    criterion: nn.Module,
    state: RunState,
    callbacks: Sequence[Callback],
    n_workers: int,
    device: torch.device,
) -> Trainer:
    """Make the loop of a run: one pass over its stream, each of whose items is a step."""
    return Trainer(
        module,
        criterion=criterion,
        callbacks=[
            ("clip", GradientNormClipping(state.recipe.max_norm)),
            ("state", state),
            *callbacks,
            ("end of step", EndOfStep(state)),
        ],
        max_epochs=1,
        iterator_train__batch_size=None,
        iterator_train__num_workers=n_workers,
        train_split=None,
        device=str(device),
        verbose=0,
        recipe=state.recipe,
        processes=state.processes,
    ).initialize()


def _expert_columns(network: TableTrainable) -> int:
    """Columns that a network reads of those its experts rank; 0 for one without experts."""
    has_experts = isinstance(network, NetworkConfig) and network.experts
    return network.n_features if has_experts else 0


def _check(
    network: Trainable, prior: Any, recipe: Recipe, processes: Processes, n_workers: int
) -> None:
    """Refuse a recipe that the network or the processes cannot follow."""
    if n_workers < 0:
        raise ValueError(f"Got n_workers={n_workers}, but expected at least 0.")
    if n_workers and isinstance(network, CausalConfig):
        raise ValueError(
            f"Got n_workers={n_workers}, but the prompts of a CausalConfig are drawn on the "
            "device. Leave n_workers at 0."
        )
    if not isinstance(network, LanguageConfig):
        tables = cast(TableTrainable, network)
        if recipe.n_features[1] > tables.n_features and not _expert_columns(tables):
            raise ValueError(
                f"Got a recipe with up to {recipe.n_features[1]} columns, but the network reads "
                f"{tables.n_features}. Lower the recipe's n_features or raise the network's."
            )
    longest = max(recipe.n_support[1], (recipe.late_support or (0, 0))[1])
    if isinstance(network, CausalConfig) and longest > network.max_examples:
        raise ValueError(
            f"Got a recipe with up to {longest} known rows, but the network has positions for "
            f"{network.max_examples}. Lower n_support or raise max_examples."
        )
    if isinstance(network, LanguageConfig):
        longest = prior.length - 1  # what `TokenStream` draws, whatever the recipe's n_support
    fewest = recipe.n_tables(longest)
    if fewest < processes.count:
        raise ValueError(
            f"Got {processes.count} processes, but a step of the recipe may have no more than "
            f"{fewest} table(s). Raise rows_per_step or start fewer processes."
        )


class MetaTraining(NamedTuple, Generic[Network]):
    """What `meta_train` returns.

    Parameters
    ----------
    network : nn.Module
        What the configuration builds, with the averaged weights, on the CPU, in evaluation mode.
    losses : list of float
        The training loss of every step, those before a resumption included.
    n_tables : int
        Tables drawn.
    seconds : float
        Wall time of all steps.
    """

    network: Network
    losses: list[float]
    n_tables: int
    seconds: float


@in_own_modes
def meta_train(
    network: Trainable[Network],
    prior: Prior | Language,
    recipe: Recipe,
    *,
    start: Checkpoint | None = None,
    folder: str | os.PathLike[str] | None = None,
    save_every: float = 30.0,
    device: str = "auto",
    distributed: bool = True,
    compile: bool = False,
    n_workers: int = 0,
    verbose: int = 0,
    callbacks: Sequence[Callback] = (),
) -> MetaTraining[Network]:
    """Meta-train a looped network on tables drawn from a prior.

    Every step draws fresh tables, splits them into support and queries, runs the network for a
    drawn number of loops b and descends the loss averaged over the last T loops (Yang et al.
    2024, Eq. 1). Muon moves the blocks' matrices, AdamW the rest; matrix products are in
    bfloat16 where the hardware has it. A run is a function of its arguments: the same machine
    repeats it to the bit, beside another run in the same process to rounding (they share torch's
    autocast cache).

    Started in several processes by ``torchrun`` or ``accelerate launch``, they train one network:
    every process draws a step's tables and takes its share of them, the gradients are averaged,
    and the first process alone saves and shows progress. The losses are those of one process, to
    rounding, and a run may go on with another number of processes.

    Parameters
    ----------
    network : NetworkConfig or another `Trainable`
        What to train; it is built under the recipe's seed. For a `CausalConfig` every prefix of
        a prompt is scored, in the units of the prior, which is drawn on the device.
    prior : Prior or Language
        Anything with ``sample(generator, n_tables, n_rows, n_features)``; of a `LanguageConfig`
        a language.
    recipe : Recipe
        Steps, sizes, loops, learning rates and the seed.
    start : Checkpoint, default=None
        Weights to begin from: fine-tuning. What has another shape than in `network`, such as the
        readout where a regressor becomes a classifier, starts from random values. None: all does.
    folder : path, default=None
        Where the state of the run is kept. A run that was killed goes on from there; a finished
        one returns at once, and with a recipe of more steps goes on under the learning rates of
        that recipe. One run holds it at a time. None: nothing is kept.
    save_every : float, default=30.0
        Seconds between saves: what a kill loses at most.
    device : str, default="auto"
        As in `sklearn_looped.core.device.choose_device`.
    distributed : bool, default=True
        Whether processes that a launcher started train this network together. False: each trains
        it by itself.
    compile : bool, default=False
        Whether the blocks run through `torch.compile`, which pays in long runs on a GPU.
    n_workers : int, default=0
        Processes that draw prompts ahead, for a GPU, which is faster than what draws them. The run
        is the same for any number of them. 0: prompts are drawn between steps. A `CausalConfig`
        needs none: its prompts are drawn on the device.
    verbose : int, default=0
        Above 0: a progress bar with the mean loss of the last 100 steps.
    callbacks : sequence of skorch callbacks, default=()
        Called in turn after the library's own, before the step is saved; `curve.HeldOutCurve` is
        one.

    Returns
    -------
    MetaTraining
        The network and the loss of every step.

    Raises
    ------
    ValueError
        If the recipe draws more columns than the network reads, its loss asks for an exit gate
        that the network lacks, the device is not available, `n_workers` is negative or above 0
        for a `CausalConfig`, a step may have fewer tables than there are processes, the processes
        do not see the same state in `folder`, or that state is damaged or belongs to a run with
        another network, prior, recipe or start; or if with a folder an attribute of the prior,
        of a name that does not begin with ``_``, cannot be written as JSON.
    OSError
        If the state cannot be saved, as on a full disk; the last one is untouched, and the same
        call goes on from there once there is room. Before any step, if another run holds the
        folder: the message says which process.
    FloatingPointError
        If the loss stops being finite.
    KeyboardInterrupt
        If stopped from the keyboard; with a folder, the same call goes on from the last save.

    References
    ----------
    L. Yang, K. Lee, R. Nowak, D. Papailiopoulos, "Looped Transformers are Better at Learning
    Learning Algorithms", ICLR 2024, Eq. 1 and Section 4.

    Examples
    --------
    >>> from sklearn_looped.learned.training.metatrain import meta_train
    >>> from sklearn_looped.learned.model.config import NetworkConfig
    >>> from sklearn_looped.learned.priors import LinearPrior
    >>> from sklearn_looped.learned.training.recipe import Recipe
    >>> run = meta_train(
    ...     NetworkConfig(n_features=2, width=16, n_heads=2),
    ...     LinearPrior(),
    ...     Recipe(3, n_features=(2, 2), n_support=(8, 16), rows_per_step=256),
    ... )
    >>> len(run.losses)
    3
    """
    processes = Processes.joined() if distributed else Processes()
    _check(network, prior, recipe, processes, n_workers)
    where = choose_device(device)
    module = _built(network, recipe, start).to(where)
    path = None if folder is None else Path(folder)
    state = RunState(module, prior, recipe, start, path, save_every, verbose, processes)
    if compile:  # after the averaged copy was made
        for block in module.modules():
            if isinstance(block, Block | CausalBlock):
                block.compile()
    trainer = _trainer(module, _criterion(network, recipe), state, callbacks, n_workers, where)
    with folder_of_one_run(state.path, processes):
        state.load(trainer)
        done = len(state.losses)
        if done < recipe.n_steps:
            with torch.enable_grad():
                trainer.partial_fit(_stream(network, prior, recipe, done, processes, where))
    state.bar.close()
    if state.n_done < recipe.n_steps:  # skorch ends quietly when stopped from the keyboard
        raise KeyboardInterrupt(state.stopped())
    average = cast(Network, state.average.module)
    return MetaTraining(average.cpu().eval(), state.losses, state.n_tables, state.seconds)
