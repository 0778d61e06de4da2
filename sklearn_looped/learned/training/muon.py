"""The optimiser of the blocks' matrices, at full speed on processors without bfloat16 too."""

from collections.abc import Callable
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from sklearn_looped.core.device import training_dtype


class Muon(torch.optim.Muon):
    """torch's Muon, in float32 where the hardware has no products in bfloat16.

    torch makes each step orthogonal in bfloat16 on every device. A processor that only emulates
    it takes twenty times as long as in float32: more than half of a training step of `tabular`.
    """

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Move the matrices; those on a device that multiplies bfloat16 exactly as torch does."""
        devices = {weight.device for group in self.param_groups for weight in group["params"]}
        if all(training_dtype(device) is torch.bfloat16 for device in devices):
            return super().step(closure)
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._move(weight, weight.grad, group)
        return loss

    def _move(self, weight: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        """Take one matrix a step along its orthogonal direction, with Nesterov's momentum."""
        state, momentum = self.state[weight], group["momentum"]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(gradient)
        average = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        direction = orthogonal(
            gradient.lerp(average, momentum), group["ns_coefficients"], group["ns_steps"]
        )
        rows, columns = weight.shape
        weight.mul_(1 - group["lr"] * group["weight_decay"])
        weight.add_(direction, alpha=-group["lr"] * sqrt(max(1, rows / columns)))


def orthogonal(matrix: Tensor, coefficients: tuple[float, float, float], n_steps: int) -> Tensor:
    """Bring the singular values of a matrix near one, by steps of Newton and Schulz."""
    a, b, c = coefficients
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / wide.norm().clamp(min=torch.finfo(matrix.dtype).tiny)
    for _ in range(n_steps):
        gram = wide @ wide.T
        wide = torch.addmm(wide, torch.addmm(gram, gram, gram, beta=b, alpha=c), wide, beta=a)
    return wide if wide.shape == matrix.shape else wide.T
