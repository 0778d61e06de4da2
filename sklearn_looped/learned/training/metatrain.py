"""Meta-training: a looped network learns from a stream of prompts, resumable to the step."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, GradientNormClipping
from torch import Generator, Tensor, nn
from torch.utils.data import IterableDataset

from sklearn_looped.core.device import choose_device, seeded_generator, training_dtype
from sklearn_looped.core.kernel_machine import LENGTHS, Search
from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.checkpoints import Checkpoint
from sklearn_looped.learned.inference.experts import STEPS, Experts, silenced
from sklearn_looped.learned.inference.standardise import Standardiser
from sklearn_looped.learned.model.network import CLIP, NetworkConfig, Step
from sklearn_looped.learned.model.opinions import N_EXPERTS, Opinions
from sklearn_looped.learned.model.readout import DistributionLoss, Target
from sklearn_looped.learned.priors import FixedColumns, KnowsSignal, Prior
from sklearn_looped.learned.priors.mechanisms import integer
from sklearn_looped.learned.training.folders import folder_of_one_run
from sklearn_looped.learned.training.gate_losses import GateLoss, OuroLoss
from sklearn_looped.learned.training.recipe import Recipe
from sklearn_looped.learned.training.run_state import RunState

Network = TypeVar("Network", bound=nn.Module)
Built = TypeVar("Built", bound=nn.Module, covariant=True)

LEAST_UNIT = 1e-3  # error of the experts below which a table's errors count no more
SILENCE = 0.1  # probability that an expert is not heard in a table


class Trainable(Protocol[Built]):
    """A frozen dataclass that says what `meta_train` is to train, as `NetworkConfig` does.

    The module that it builds keeps it as `config`, takes what `LoopedNetwork.forward` takes and
    returns outputs (min(window, n_loops), B, q, n_outputs), and names the parameters that Muon
    moves, at least one, in ``matrices()``. One in float64 is trained in float64.
    """

    @property
    def n_features(self) -> int:
        """Largest number of columns that it reads."""

    @property
    def loss(self) -> type[nn.Module]:
        """Loss of its outputs against the targets (B, q), a mean over tables."""

    @property
    def centre(self) -> bool:
        """Whether canonical form takes the means off columns and target."""

    def build(self) -> Built:
        """Build the module, with the weights that training starts from."""


class PromptStream(IterableDataset):
    """The prompts of a run from step `start` on, each drawn from (seed, step) alone.

    Yields ``({"X": (B, s + q, d), "y": (B, s), "n_loops": (B,), ...}, target)``: this process's
    share of a step's tables in canonical form, with means taken off if `centre`, the target
    clipped. With `expert_columns` the parts of the experts' `Opinions` too, and no more columns
    than that. Every table of a step takes the same number of loops.
    """

    def __init__(
        self,
        prior: Prior,
        recipe: Recipe,
        start: int,
        centre: bool = True,
        expert_columns: int = 0,
        processes: Processes | None = None,
    ) -> None:
        self.prior, self.recipe, self.start = prior, recipe, start
        self.centre, self.expert_columns = centre, expert_columns
        self.processes = processes or Processes()

    def __iter__(self) -> Iterator[tuple[dict[str, Tensor], Target]]:
        for step in range(self.start, self.recipe.n_steps):
            yield self.prompt(step)

    def prompt(self, step: int) -> tuple[dict[str, Tensor], Target]:
        """Draw the prompt of one step."""
        recipe, share = self.recipe, self.processes.share
        generator = seeded_generator(recipe.seed, step)
        n_features, n_support, n_loops = recipe.draw_sizes(step, generator)
        size = (recipe.n_tables(n_support), n_support + recipe.n_query, n_features)
        if isinstance(self.prior, KnowsSignal):
            X, y, signal = map(share, self.prior.sample_with_signal(generator, *size))
        else:
            X, y = map(share, self.prior.sample(generator, *size))
            signal = y
        support = X[:, :n_support], y[:, :n_support]
        if isinstance(self.prior, FixedColumns):
            scale = Standardiser.identity(*support)
        else:
            scale = Standardiser.fit(*support, centre=self.centre)
        X, asked = scale.features(X), slice(n_support, None)
        prompt = {"y": scale.target(support[1]), "n_loops": torch.full((len(X),), n_loops)}
        targets = (scale.target(part)[:, asked].clamp(-CLIP, CLIP) for part in (y, signal))
        target = Target.of(*targets)
        if self.expert_columns:
            search = _draw_search(generator)
            experts = Experts.fit(
                X[:, :n_support], prompt["y"], max_columns=self.expert_columns, search=search
            )
            silent = share(torch.rand(size[0], N_EXPERTS, generator=generator) < SILENCE)
            opinions = silenced(experts.of_all(X), silent)
            X = experts.read(X)
            prompt |= {name: part.float() for name, part in opinions._asdict().items()}
            target = target._replace(
                unit=opinions.unit().clamp(min=LEAST_UNIT).sqrt()[:, None].float()
            )
        return {"X": X, **prompt}, target


def _draw_search(generator: Generator) -> Search:
    """Draw a search for the experts that costs little: worse ones are met too."""
    order = torch.randperm(len(LENGTHS), generator=generator)[: integer(generator, 2, 4)]
    lengths = tuple(LENGTHS[place] for place in order.tolist())
    smooth = ("laplace", "gauss")[integer(generator, 0, 1)]
    n_loops, n_rows = integer(generator, 0, 2), integer(generator, 48, 160)
    return Search((STEPS, smooth), lengths, n_loops, n_rows)


class _Trainer(NeuralNet):
    """skorch's training loop for a looped network: two optimisers, bfloat16, losses by loop.

    Each process has its share of a step's tables and all move by the same gradient, the mean
    over all tables. skorch's AccelerateMixin does not fit: it wraps the module so that only
    `forward` works, and weighs processes alike whatever their number of tables. Overlapping the
    exchange with the backward pass would bring nothing: a looped block's gradient is complete
    only when that has come to the first loop.
    """

    def __init__(
        self, module: nn.Module, *, recipe: Recipe, processes: Processes, **kwargs: Any
    ) -> None:
        self.recipe, self.processes = recipe, processes
        super().__init__(module, **kwargs)

    def initialize_optimizer(self, *_: Any) -> "_Trainer":
        recipe, module = self.recipe, self.module_
        if recipe.loss == "gate":
            trained = module.requires_grad_(False).gate.requires_grad_(True)
            matrices = [p for p in trained.parameters() if p.ndim == 2]
        else:
            trained, matrices = module, module.matrices()
        others = [p for p in trained.parameters() if all(p is not m for m in matrices)]
        decay = recipe.weight_decay
        self.optimizer_ = torch.optim.AdamW(
            others, recipe.lr, betas=(0.9, 0.98), weight_decay=decay
        )
        self.muon_ = torch.optim.Muon(matrices, recipe.muon_lr, weight_decay=decay)
        return self

    def infer(self, x: dict[str, Tensor], **_: Any) -> Tensor | Step:
        device, recipe = torch.device(self.device), self.recipe
        own, dtype = next(self.module_.parameters()).dtype, training_dtype(device)
        X, y, n_loops = x["X"].to(device, own), x["y"].to(device, own), int(x["n_loops"][0])
        autocast = dtype is not torch.float32 and own is torch.float32
        rest: dict[str, Any] = {}
        if "error" in x:
            parts = (x[name].to(device) for name in Opinions._fields)
            rest["opinions"] = Opinions(*parts)
        with torch.autocast(device.type, dtype, enabled=autocast):
            if recipe.loss != "window":
                steps = self.module_.trajectory(X, y, n_loops, **rest)
                return Step(steps.output.float(), steps.exit.float())
            window = recipe.window, recipe.n_grad_loops
            return self.module_(X, y, n_loops, *window, **rest).to(own)

    def get_loss(self, y_pred: Any, y_true: Target, *_: Any, **__: Any) -> Tensor:
        return self.criterion_(y_pred, y_true.map(lambda part: part.to(self.device)))

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        # skorch would run the model once for each of the two optimisers.
        self._zero_grad_optimizer()
        step = self.train_step_single(batch, **fit_params)
        step["loss"] = step["loss"].detach()
        gradients = [p.grad for p in self.module_.parameters() if p.grad is not None]
        n_tables, n_support = batch[0]["y"].shape
        share = n_tables / self.recipe.n_tables(n_support)
        self.processes.average([step["loss"], *gradients], share)
        self.notify(
            "on_grad_computed", named_parameters=self.module_.named_parameters(), batch=batch
        )
        self._step_optimizer(None)
        return step


def _criterion(network: Trainable, recipe: Recipe) -> type[nn.Module]:
    """Loss that a recipe asks of a network."""
    if recipe.loss == "window":
        return network.loss
    gated = isinstance(network, NetworkConfig) and network.n_gate_units > 0
    if not gated or network.loss is not DistributionLoss:
        raise ValueError(
            f"Got loss={recipe.loss!r}, which trains the exit gate of a regressor, but the network "
            f"is {network}."
        )
    return OuroLoss if recipe.loss == "ouro" else GateLoss


def _take_weights(module: nn.Module, start: Checkpoint) -> None:
    """Copy the tensors that have the same shape in both networks."""
    ours = module.state_dict()
    theirs = start.network.state_dict()
    module.load_state_dict(
        {k: theirs[k] if k in theirs and theirs[k].shape == t.shape else t for k, t in ours.items()}
    )


def _expert_columns(network: Trainable) -> int:
    """Columns that a network reads of those its experts rank; 0 for one without experts."""
    hears = isinstance(network, NetworkConfig) and network.experts
    return network.n_features if hears else 0


def _check(network: Trainable, recipe: Recipe, processes: Processes) -> None:
    """Refuse a recipe that the network or the processes cannot follow."""
    if recipe.n_features[1] > network.n_features and not _expert_columns(network):
        raise ValueError(
            f"Got a recipe with up to {recipe.n_features[1]} columns, but the network reads "
            f"{network.n_features}. Lower the recipe's n_features or raise the network's."
        )
    fewest = recipe.n_tables(max(recipe.n_support[1], (recipe.late_support or (0, 0))[1]))
    if fewest < processes.count:
        raise ValueError(
            f"Got {processes.count} processes, but a step of the recipe may have no more than "
            f"{fewest} table(s). Raise rows_per_step or start fewer processes."
        )


class MetaTraining(NamedTuple, Generic[Network]):
    """What `meta_train` returns.

    Attributes
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


def meta_train(
    network: Trainable[Network],
    prior: Prior,
    recipe: Recipe,
    *,
    start: Checkpoint | None = None,
    folder: str | os.PathLike[str] | None = None,
    save_every: float = 30.0,
    device: str = "auto",
    distributed: bool = True,
    verbose: int = 0,
    callbacks: Sequence[Callback] = (),
) -> MetaTraining[Network]:
    """Meta-train a looped network on tables drawn from a prior.

    Every step draws fresh tables, splits them into support and queries, runs the network for a
    drawn number of loops b and descends the loss averaged over the last T loops (Yang et al.
    2024, Eq. 1). Muon moves the blocks' matrices, AdamW the rest; matrix products are in
    bfloat16 where the hardware has it. A run is a function of its arguments: the same machine
    repeats it to the bit.

    Started in several processes by ``torchrun`` or ``accelerate launch``, they train one network:
    every process draws a step's tables and takes its share of them, the gradients are averaged,
    and the first process alone saves and shows progress. The losses are those of one process, to
    rounding, and a run may go on with another number of processes.

    Parameters
    ----------
    network : NetworkConfig or another `Trainable`
        What to train; it is built under the recipe's seed.
    prior : Prior
        Anything with ``sample(generator, n_tables, n_rows, n_features)``.
    recipe : Recipe
        Steps, sizes, loops, learning rates and the seed.
    start : Checkpoint, default=None
        Weights to begin from: fine-tuning. What has another shape than in `network`, such as the
        readout where a regressor becomes a classifier, begins anew. None: random weights.
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
    verbose : int, default=0
        Above 0: a progress bar with the mean loss of the last 100 steps.
    callbacks : sequence of skorch callbacks, default=()
        Called in turn after the library's own; `curve.HeldOutCurve` is one.

    Returns
    -------
    MetaTraining
        The network and the loss of every step.

    Raises
    ------
    ValueError
        If the recipe draws more columns than the network reads, its loss asks for an exit gate
        that the network has not, the device is not there, a step may have fewer tables than
        there are processes, these do not see the same state in `folder`, or
        it holds a run with another network, prior, recipe or start, or a damaged one.
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
    >>> from sklearn_looped.learned.model.network import NetworkConfig
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
    _check(network, recipe, processes)
    chosen = choose_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        module = network.build()
    if start is not None:
        _take_weights(module, start)
    module = module.to(chosen)
    path = None if folder is None else Path(folder)
    state = RunState(module, prior, recipe, start, path, save_every, verbose, processes)
    net = _Trainer(
        module,
        criterion=_criterion(network, recipe),
        callbacks=[
            ("clip", GradientNormClipping(recipe.max_norm)),
            ("state", state),
            *callbacks,
        ],
        max_epochs=1,
        iterator_train__batch_size=None,
        train_split=None,
        device=str(chosen),
        verbose=0,
        recipe=recipe,
        processes=processes,
    ).initialize()
    with folder_of_one_run(state.path, processes):
        state.load(net)
        if len(state.losses) < recipe.n_steps:
            columns = _expert_columns(network)
            net.partial_fit(
                PromptStream(prior, recipe, len(state.losses), network.centre, columns, processes)
            )
    state.bar.close()
    if len(state.losses) < recipe.n_steps:  # skorch ends quietly when stopped from the keyboard
        raise KeyboardInterrupt(state.stopped())
    average = cast(Network, state.average.module)
    return MetaTraining(average.cpu().eval(), state.losses, state.n_tables, state.seconds)
