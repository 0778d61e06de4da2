"""The state of a meta-training run: what is averaged, counted, shown, and kept on disk."""

import json
from dataclasses import MISSING, asdict, fields, is_dataclass
from math import inf, isfinite
from pathlib import Path
from time import monotonic
from typing import Any, cast

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from tqdm.auto import tqdm

from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.checkpoints import Checkpoint
from sklearn_looped.learned.tensor_files import (
    CheckpointError,
    read_tensors,
    tensor_digest,
    write_tensors,
)
from sklearn_looped.learned.training.recipe import Recipe


def _public(prior: Any) -> dict[str, Any]:
    """Attributes of a prior that say what it draws."""
    return {k: v for k, v in getattr(prior, "__dict__", {}).items() if not k.startswith("_")}


def _spelt(identity: dict[str, Any]) -> dict[str, str]:
    """Spell as JSON what tells a run from others."""
    try:
        return {key: json.dumps(value) for key, value in identity.items()}
    except TypeError as error:
        raise ValueError(
            f"A run in a folder is known by its prior's attributes, but one cannot be written "
            f"there ({error}). Begin its name with _, and say what it holds in a plain attribute."
        ) from error


def _defaults(config: Any) -> dict[str, Any]:
    """Defaults of a dataclass's fields, as JSON has them; of another object none."""
    known = fields(config) if is_dataclass(config) else ()
    defaults = {f.name: f.default for f in known if f.default is not MISSING}
    return cast(dict[str, Any], json.loads(json.dumps(defaults)))


def _move_average(average: Any, weights: Any, n_averaged: Any, decay: float) -> None:
    """Move an exponential moving average, whose memory grows to `decay` from a short one."""
    # All tensors at once: a GPU is waited for once a step, not once a tensor.
    grown = min(decay, 1 - 9 / (10 + float(n_averaged)))
    get_ema_multi_avg_fn(grown)(average, weights, n_averaged)


class RunState(Callback):
    """What a run consists of: step, losses, averaged weights, optimisers; on disk if asked for.

    The state goes to one safetensors file, written beside and then moved over the last one, so
    that a kill at any moment leaves a whole file. It carries a digest of all it holds; a damaged
    state is refused. States without one, from before the digest, are taken as they are. Of several
    processes all read it and the first writes it.
    """

    def __init__(
        self,
        network: nn.Module,
        prior: Any,
        recipe: Recipe,
        start: Checkpoint | None,
        folder: Path | None,
        save_every: float,
        verbose: int,
        processes: Processes,
    ) -> None:
        self.recipe, self.save_every, self.processes = recipe, save_every, processes
        self.path = None if folder is None else folder / "state.safetensors"
        self.saves = folder is not None and processes.rank == 0
        self.average = AveragedModel(
            network,
            multi_avg_fn=lambda a, p, n: _move_average(a, p, n, recipe.average),
            use_buffers=True,
        )
        self.losses: list[float] = []
        self.n_done = 0  # steps of which all callbacks have done their part
        self.n_saved = 0  # steps of the state on disk
        self.n_tables, self.seconds, self.step_ended = 0, 0.0, monotonic()
        identity = {
            "network": asdict(cast(Any, network).config),
            "prior": {"name": type(prior).__qualname__, **_public(prior)},
            "recipe": asdict(recipe),
            "start": {} if start is None else {"digest": start.digest},
        }
        self.header = {} if folder is None else _spelt(identity)
        self.described = {"network": cast(Any, network).config, "prior": prior, "recipe": recipe}
        shown = verbose and processes.rank == 0
        self.bar = tqdm(total=recipe.n_steps, desc="meta-training", disable=not shown)
        self.saved_at = monotonic()

    def on_batch_begin(self, net: NeuralNet, batch: Any, **_: Any) -> None:
        """Set the step's learning rates."""
        self.n_tables += self.recipe.n_tables(batch[0]["y"].shape[1])
        share = self.recipe.learning_rate(len(self.losses))
        for optimizer, peak in (
            (net.optimizer_, self.recipe.lr),
            (net.muon_, self.recipe.muon_lr),
        ):
            for group in optimizer.param_groups:
                group["lr"] = peak * share

    def on_batch_end(self, net: NeuralNet, loss: Tensor, **_: Any) -> None:
        """Average the weights and note the loss."""
        self.average.update_parameters(net.module_)
        self.losses.append(last := loss.item())
        now = monotonic()
        self.seconds, self.step_ended = self.seconds + now - self.step_ended, now
        if not isfinite(last):
            raise FloatingPointError(
                f"The loss became {last} at step {len(self.losses)}; the last saved state "
                "is untouched. Lower lr and muon_lr or max_norm."
            )
        recent = self.losses[-100:]
        self.bar.update()
        self.bar.set_postfix(loss=f"{sum(recent) / len(recent):.4f}", refresh=False)

    def end_step(self, net: NeuralNet) -> None:
        """Count a step of which all callbacks have done their part; save now and then."""
        done = len(self.losses)
        due = monotonic() - self.saved_at > self.save_every or done == self.recipe.n_steps
        if self.saves and due:
            self.save(net)
        self.n_done = done

    def save(self, net: NeuralNet) -> None:
        """Write the state beside the last one, then move it over that."""
        assert self.path is not None
        tensors = {f"module.{name}": t for name, t in net.module_.state_dict().items()}
        tensors |= {f"average.{name}": t for name, t in self.average.state_dict().items()}
        for kind in ("optimizer", "muon"):
            state = getattr(net, kind + "_").state_dict()["state"]
            tensors |= {f"{kind}.{i}.{k}": t for i, s in state.items() for k, t in s.items()}
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
        tensors["cost"] = torch.tensor([self.n_tables, self.seconds], dtype=torch.float64)
        tensors = {k: t.detach().cpu().contiguous() for k, t in tensors.items()}
        digest = tensor_digest(json.dumps(self.header, sort_keys=True), tensors)
        write_tensors(self.path, tensors, self.header | {"digest": digest})
        self.saved_at, self.n_saved = monotonic(), len(self.losses)

    def stopped(self) -> str:
        """Say how far a run came that was stopped, and what of it is on disk."""
        kept = "nothing is saved"
        if self.n_saved and self.path is not None:
            kept = f"the state after step {self.n_saved} is in {self.path}, from where it goes on"
        return f"Stopped after {self.n_done} of {self.recipe.n_steps} steps; {kept}."

    def load(self, net: NeuralNet) -> None:
        """Go on from the saved state, if there is one; refuse the state of another run."""
        if self.path is None:
            return
        if self.path.exists():
            self._restore(net, self.path)
        steps = self.processes.gather(len(self.losses))
        if len(set(steps)) > 1:
            raise ValueError(
                f"The processes find runs of {', '.join(map(str, steps))} steps in {self.path}. "
                "Give a folder that all of them share."
            )

    def _restore(self, net: NeuralNet, path: Path) -> None:
        anew = "Delete it to begin the run anew."
        metadata, tensors = read_tensors(path, anew)
        digest = metadata.pop("digest", None)
        if digest not in (None, tensor_digest(json.dumps(metadata, sort_keys=True), tensors)):
            raise CheckpointError(f"{path} is damaged: it does not match its digest. {anew}")
        try:
            theirs = {key: dict(json.loads(metadata[key])) for key in self.header}
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise CheckpointError(f"{path} is no state of a meta-training run. {anew}") from error
        self._check_identity(theirs)
        try:
            self._take(net, tensors)
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise CheckpointError(
                f"{path} is no whole state of a run ({' '.join(str(error).split())}). {anew}"
            ) from error
        self.bar.initial = self.bar.n = len(self.losses)  # its speed is of this process's steps

    def _take(self, net: NeuralNet, tensors: dict[str, Tensor]) -> None:
        """Take over weights, optimisers, losses and cost."""

        def part(prefix: str) -> dict[str, Tensor]:
            start = prefix + "."
            return {k.removeprefix(start): t for k, t in tensors.items() if k.startswith(start)}

        losses, (n_tables, seconds) = tensors["losses"].tolist(), tensors["cost"].tolist()
        if not len(losses) <= self.recipe.n_steps or not 0 <= n_tables < inf > seconds >= 0:
            raise ValueError(
                f"{len(losses)} of {self.recipe.n_steps} steps, {n_tables} tables, {seconds} s"
            )
        net.module_.load_state_dict(part("module"))
        self.average.load_state_dict(part("average"))
        for kind in ("optimizer", "muon"):
            state: dict[int, dict[str, Tensor]] = {}
            for name, tensor in part(kind).items():
                index, _, key = name.partition(".")
                state.setdefault(int(index), {})[key] = tensor
            optimizer = getattr(net, kind + "_")
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": state, "param_groups": groups})
        self.losses, self.n_tables, self.seconds = losses, int(n_tables), seconds
        self.n_done = self.n_saved = len(self.losses)

    def _check_identity(self, saved: dict[str, dict[str, Any]]) -> None:
        for key, spelt in self.header.items():
            # A field that is newer than the state had its default.
            theirs = _defaults(self.described.get(key)) | saved[key]
            ours = json.loads(spelt)
            if key == "recipe" and theirs["n_steps"] < ours["n_steps"]:
                longer = {**theirs, "n_steps": ours["n_steps"]}  # a run may be made longer
                theirs = longer if longer == ours else theirs
            if theirs != ours:
                names = {**ours, **theirs}
                differing = [name for name in names if ours.get(name) != theirs.get(name)]
                raise ValueError(
                    f"{self.path} holds a run with another {key} (differs in "
                    f"{', '.join(differing)}). Give another folder, or delete this one."
                )


class EndOfStep(Callback):
    """Ends each step of a run, last of all callbacks: a score that was stopped is taken again."""

    def __init__(self, state: RunState) -> None:
        self.state = state

    def on_batch_end(self, net: NeuralNet, **_: Any) -> None:
        """Count the step, and save the run now and then."""
        self.state.end_step(net)
