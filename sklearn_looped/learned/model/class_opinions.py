"""Opinions on classes: the probabilities that closed-form experts give rows, with their errors.

Shapes: B tables, n rows, s support rows, d columns, E experts, C codes of classes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sklearn_looped.learned.model.opinions import N_EXPERTS

LEAST_LOG = -8.0  # of the logarithms of probabilities that the network reads


class ClassOpinions(NamedTuple):
    """Probabilities of the codes of a table's classes by each expert.

    Attributes
    ----------
    proba : Tensor of shape (B, n, E, C)
        Of support rows those of the experts that did not see them. Zero for codes that are no
        class of the table. An expert that is not available gives the classes' frequencies.
    error : Tensor of shape (B, E)
        Root of the leave-one-out log loss over that of the frequencies, at most 1.
    gate : Tensor of shape (B, d)
        Roots of the columns' weights in the kernel machines' metric, of those that are read.
    frequencies : Tensor of shape (B, C)
        Of the classes over the support; zero for codes that are no class of the table.
    """

    proba: Tensor
    error: Tensor
    gate: Tensor
    frequencies: Tensor

    by_row = ("proba",)

    def rows(self, index: Tensor | slice) -> "ClassOpinions":
        """Opinions of some rows, by mask, number or slice."""
        return self._replace(proba=self.proba[:, index])

    def to(self, device: torch.device) -> "ClassOpinions":
        """Bring all parts to a device."""
        return ClassOpinions(*(part.to(device) for part in self))

    def grouped(self, codes: Tensor, n_codes: int) -> "ClassOpinions":
        """Opinions of one table (B = 1, C classes) on groups of classes, for P passes.

        `codes` (P, C) says the group of each class, of `n_codes`; the result is P tables.
        """
        members = F.one_hot(codes, n_codes).to(self.proba)  # (P, C, n_codes)
        n_passes = len(codes)
        return ClassOpinions(
            torch.einsum("nec,pcg->pneg", self.proba[0], members),
            self.error.expand(n_passes, -1),
            self.gate.expand(n_passes, -1),
            torch.einsum("c,pcg->pg", self.frequencies[0], members),
        )

    def unit(self) -> Tensor:
        """Error of the best expert, (B,)."""
        return self.error.amin(1)

    def mixture(self, sharpness: Tensor | float, preference: Tensor | float = 0.0) -> Tensor:
        """Mix the experts' probabilities, (B, n, C), each weighted by its error to a power.

        `preference` (B, n, E) is added to the logarithms of the weights.
        """
        trust = torch.softmax(preference - sharpness * self.error.log()[:, None], -1)
        return (trust[..., None] * self.proba).sum(-2)


def n_class_features(n_classes: int) -> int:
    """Count the numbers that a token carries."""
    return 3 * N_EXPERTS * n_classes + N_EXPERTS + n_classes


def class_opinion_features(opinions: ClassOpinions, codes: Tensor) -> Tensor:
    """Numbers (B, n, n_class_features(C)) that tokens carry; codes (B, s), s first rows.

    Of each expert the probabilities, their logarithms and the error; the frequencies; and on
    support rows what each expert leaves over of the label's indicator.
    """
    proba, error, _, frequencies = opinions
    n_rows, n_support = proba.shape[1], codes.shape[1]
    label = F.one_hot(codes.long(), proba.shape[-1]).to(proba)  # (B, s, C)
    left_over = label[:, :, None] - proba[:, :n_support]
    logs = proba.log().clamp(min=LEAST_LOG) / 2
    features = [
        proba.flatten(2),
        logs.flatten(2),
        F.pad(left_over.flatten(2), (0, 0, 0, n_rows - n_support)),
        error.log()[:, None].expand(-1, n_rows, -1),
        frequencies[:, None].expand(-1, n_rows, -1),
    ]
    return torch.cat(features, -1)
