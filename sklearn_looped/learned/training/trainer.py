"""The training loop of a meta-training run, on skorch's: a step, and what moves the weights."""

from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from sklearn_looped.core.device import training_dtype
from sklearn_looped.core.processes import Processes
from sklearn_looped.learned.model.class_opinions import ClassOpinions
from sklearn_looped.learned.model.memory import Step
from sklearn_looped.learned.model.opinions import Opinions
from sklearn_looped.learned.model.readout import Target
from sklearn_looped.learned.training.muon import Muon
from sklearn_looped.learned.training.recipe import Recipe


class Trainer(NeuralNet):
    """skorch's training loop for a looped network: two optimisers, bfloat16, losses by loop.

    Each process has its share of a step's tables and all move by the same gradient, the mean
    over all tables, or over all labels that count. skorch's AccelerateMixin does not fit: it
    wraps the module so that only `forward` works, and weighs processes alike whatever their number
    of tables. Overlapping the exchange with the backward pass would bring nothing: a looped
    block's gradient is complete only when that has come to the first loop.
    """

    def __init__(
        self, module: nn.Module, *, recipe: Recipe, processes: Processes, **kwargs: Any
    ) -> None:
        self.recipe, self.processes = recipe, processes
        super().__init__(module, **kwargs)

    def initialize_optimizer(self, *_: Any) -> "Trainer":
        """Give the blocks' matrices to Muon, the rest to AdamW; or all to Adam.

        With the loss "gate" they get the exit gate alone.
        """
        recipe, module = self.recipe, self.module_
        if recipe.loss == "gate":
            trained = module.requires_grad_(False).gate.requires_grad_(True)
            matrices = [p for p in trained.parameters() if p.ndim == 2]
        else:
            trained, matrices = module, module.matrices()
        decay = recipe.weight_decay
        if recipe.optimizer == "adam":
            self.optimizer_ = torch.optim.Adam(trained.parameters(), recipe.lr)
            matrices = []  # Muon has nothing to do
        else:
            others = [p for p in trained.parameters() if all(p is not m for m in matrices)]
            self.optimizer_ = torch.optim.AdamW(
                others, recipe.lr, betas=(0.9, 0.98), weight_decay=decay
            )
        groups = [{"params": matrices}]
        self.muon_ = Muon(groups, recipe.muon_lr, weight_decay=decay)
        return self

    def infer(self, x: dict[str, Tensor], **_: Any) -> Tensor | Step:
        """Predict what a prompt asks for, after the loops that the loss is taken over."""
        device, recipe = torch.device(self.device), self.recipe
        own, dtype = next(self.module_.parameters()).dtype, training_dtype(device)
        autocast = dtype is not torch.float32 and own is torch.float32
        n_loops = int(x["n_loops"][0])
        inputs = [x["y"].to(device)]  # a language model's tokens
        if "X" in x:
            inputs = [x["X"].to(device, own), inputs[0].to(own)]
        rest: dict[str, Any] = {}
        if "error" in x:
            kind = ClassOpinions if "proba" in x else Opinions
            rest["opinions"] = kind(*(x[name].to(device) for name in kind._fields))
        with torch.autocast(device.type, dtype, enabled=autocast):
            if recipe.loss != "window":
                steps = self.module_.trajectory(*inputs, n_loops, **rest)
                return Step(steps.output.float(), steps.exit.float())
            window = recipe.window, recipe.n_grad_loops
            return self.module_(*inputs, n_loops, *window, **rest).to(own)

    def get_loss(self, y_pred: Any, y_true: Target, *_: Any, **__: Any) -> Tensor:
        """Score predictions against their target."""
        return self.criterion_(y_pred, y_true.map(lambda part: part.to(self.device)))

    def share(self, x: dict[str, Tensor]) -> float:
        """Share of this process in a step's loss: of its tables, or of the labels that count."""
        if "share" in x:
            return float(x["share"][0])
        n_tables, n_support = x["y"].shape
        return n_tables / self.recipe.n_tables(n_support)

    def train_step(self, batch: Any, **fit_params: Any) -> dict[str, Tensor]:
        """Move the weights by one prompt: loss, gradients of all processes, both optimisers."""
        torch.clear_autocast_cache()  # a caller's autocast would keep the last step's weights
        # skorch would run the model once for each of the two optimisers.
        optimizers = self.optimizer_, self.muon_
        for optimizer in optimizers:
            optimizer.zero_grad()
        step = self.train_step_single(batch, **fit_params)
        step["loss"] = step["loss"].detach()
        gradients = [p.grad for p in self.module_.parameters() if p.grad is not None]
        self.processes.average([step["loss"], *gradients], self.share(batch[0]))
        self.notify(
            "on_grad_computed", named_parameters=self.module_.named_parameters(), batch=batch
        )
        for optimizer in optimizers:
            optimizer.step()
        return step
