"""Opinions: the predictions of closed-form experts for rows of a table, with their errors.

Shapes: B tables, n rows, s support rows, d columns, E experts.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

N_EXPERTS = 3  # ridge regression, a smooth kernel machine, one for steps
N_OPINION_FEATURES = 8 * N_EXPERTS - 1
CLIP = 8.0  # of the numbers that the network reads
LEAST_STD = 1e-4  # relative to an expert's error


class Opinions(NamedTuple):
    """Predictions of the experts for rows, with their errors, in canonical form.

    Attributes
    ----------
    prediction, std : Tensor of shape (B, n, E)
        Of support rows those of the experts that did not see them.
    error : Tensor of shape (B, E)
        Root mean square of the leave-one-out residuals over the support, at most 1: an expert
        that is not available predicts 0, the mean, with error 1.
    gate : Tensor of shape (B, d)
        Roots of the columns' weights in the kernel machines' metric, of those that are read.
    """

    prediction: Tensor
    std: Tensor
    error: Tensor
    gate: Tensor

    def rows(self, index: Tensor | slice) -> "Opinions":
        """Opinions of some rows, by mask, number or slice."""
        return self._replace(prediction=self.prediction[:, index], std=self.std[:, index])

    def to(self, device: torch.device) -> "Opinions":
        """Bring all parts to a device."""
        return Opinions(*(part.to(device) for part in self))

    def best(self) -> Tensor:
        """Predictions of the expert of least error, (B, n)."""
        return self.prediction.gather(
            2, self.error.argmin(1)[:, None, None].expand(-1, self.prediction.shape[1], 1)
        )[..., 0]

    def unit(self) -> Tensor:
        """Error of the best expert, (B,): the unit of what is left to predict."""
        return self.error.amin(1)


def opinion_features(opinions: Opinions, y: Tensor) -> Tensor:
    """Numbers (B, n, N_OPINION_FEATURES) that tokens carry; y (B, s), s first rows, may be empty.

    Of each expert the prediction, its spread and error; how far experts disagree; and on support
    rows what each leaves over, in units of the target and of the best expert's error.
    """
    prediction, std, error, _ = opinions
    n_rows = prediction.shape[1]
    unit = opinions.unit()[:, None, None]
    relative_std = (std / error[:, None]).clamp(min=LEAST_STD).log()
    log_error = (error.log() / 2)[:, None].expand(-1, n_rows, -1)
    disagreement = prediction.diff(dim=-1) / unit
    left_over = y[..., None] - prediction[:, : y.shape[1]]
    left_over = torch.cat([left_over, left_over / unit, torch.tanh(left_over / unit)], -1)
    features = [
        prediction,
        torch.tanh(prediction),
        relative_std,
        log_error,
        disagreement,
        F.pad(left_over, (0, 0, 0, n_rows - y.shape[1])),
    ]
    return torch.cat(features, -1).clamp(-CLIP, CLIP)
