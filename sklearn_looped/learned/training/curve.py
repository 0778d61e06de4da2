"""The curve of a meta-training run: its held-out score against processor time."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import nn


class HeldOutCurve(Callback):
    """Score the averaged weights now and then, and append the score to a file.

    For `meta_train`'s `callbacks`; of several processes the first does it. A run that goes on
    after a kill goes on with its file: what it holds beyond the state that is resumed is dropped.

    Parameters
    ----------
    path : path
        File of JSON lines: steps done, processor seconds of training up to there (of the first
        process, without those that draw tables, and without scoring; after a kill, from the last
        line on), and the score.
    score : callable
        Takes the averaged network and returns a number.
    every : int, default=100
        Steps between scores; the last step is scored too.
    """

    def __init__(
        self, path: str | os.PathLike[str], score: Callable[[Any], float], every: int = 100
    ) -> None:
        self.path, self.score, self.every = Path(path), score, every

    def on_train_begin(self, net: NeuralNet, *_: Any, **__: Any) -> None:
        """Keep what belongs to the resumed state."""
        if _state(net).processes.rank:
            return
        done = len(_state(net).losses)
        rows = [row for row in read_curve(self.path) if row["step"] <= done]
        anew = self.path.with_name(f".{self.path.name}.new")
        anew.write_text("".join(json.dumps(row) + "\n" for row in rows))
        os.replace(anew, self.path)
        before = rows[-1]["cpu_seconds"] if rows else 0.0
        self.started = process_time() - before

    def on_batch_end(self, net: NeuralNet, *_: Any, **__: Any) -> None:
        """Score every so many steps."""
        state = _state(net)
        step = len(state.losses)
        due = step % self.every == 0 or step == state.recipe.n_steps
        if not due or state.processes.rank:
            return
        now = process_time()
        network: nn.Module = state.average.module
        training = network.training
        score = self.score(network.eval())
        network.train(training)
        row = {"step": step, "cpu_seconds": round(now - self.started, 1), "score": score}
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        self.started += process_time() - now


def read_curve(path: Path) -> list[dict[str, float]]:
    """Rows of a curve's file, none if there is no file; without a last line that broke off."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def _state(net: NeuralNet) -> Any:
    return dict(net.callbacks_)["state"]
