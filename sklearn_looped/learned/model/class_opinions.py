"""Opinions on classes: the probabilities that closed-form experts give rows, with their errors.

Shapes: B tables, n rows, s support rows, d columns, E experts, C codes of classes.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from sklearn_looped.core.calibration import pooled
from sklearn_looped.learned.model.blocks import TYPICAL_SUPPORT
from sklearn_looped.learned.model.opinions import N_EXPERTS

LEAST_LOG = -8.0  # of the logarithms of probabilities that the network reads
N_TOP = 3  # classes of a row, of most probability, that it reads
N_CLASS_FEATURES = 2 * (N_EXPERTS + 1) * N_TOP + N_TOP + 2 * N_EXPERTS + 3


class ClassOpinions(NamedTuple):
    """Probabilities of the codes of a table's classes by each expert.

    Attributes
    ----------
    proba : Tensor of shape (B, n, E, C)
        Of support rows those of the experts that did not see them. Zero for codes that are no
        class of the table. An expert that is not available gives the classes' frequencies.
    error : Tensor of shape (B, E + 1)
        Root of the leave-one-out log loss over that of the frequencies, at most 1: of each expert
        and, last, of their pool.
    exponents : Tensor of shape (B, E)
        Of the experts' probabilities in their pool (`core.calibration.pool_exponents`).
    gate : Tensor of shape (B, d)
        Roots of the columns' weights in the kernel machines' metric, of those that are read.
    frequencies : Tensor of shape (B, C)
        Of the classes over the support; zero for codes that are no class of the table.
    total : Tensor of shape (B,)
        Sum of the support rows' weights.
    """

    proba: Tensor
    error: Tensor
    exponents: Tensor
    gate: Tensor
    frequencies: Tensor
    total: Tensor

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
            self.exponents.expand(n_passes, -1),
            self.gate.expand(n_passes, -1),
            torch.einsum("c,pcg->pg", self.frequencies[0], members),
            self.total.expand(n_passes),
        )

    def unit(self) -> Tensor:
        """Error of the pool, (B,)."""
        return self.error[:, -1]

    def pool(self, factor: Tensor | float = 1.0) -> Tensor:
        """Logits (B, n, C) of the experts' pool; `factor` (B, n, E) multiplies the exponents.

        Codes that are no class of the table have the logit minus infinity.
        """
        logits = pooled(self.proba, factor * self.exponents[:, None])
        return logits.masked_fill((self.frequencies == 0)[:, None], -torch.inf)


def class_opinion_features(opinions: ClassOpinions) -> Tensor:
    """Numbers (B, n, N_CLASS_FEATURES) that tokens carry.

    Of each expert and of their pool the probabilities, and their logarithms, of the classes that
    the pool gives a row the most probability, most first, with the classes' frequencies; of the
    table the errors, the exponents, the entropy of the frequencies and the number of rows. No class
    has a place of its own, so that what is learned of one holds for all.
    """
    pool = torch.softmax(opinions.pool(), -1)
    proba = torch.cat([opinions.proba, pool[:, :, None]], 2)
    n_rows, n_top = proba.shape[1], min(N_TOP, proba.shape[-1])
    top = pool.topk(n_top, -1).indices
    proba = proba.gather(3, top[:, :, None].expand(-1, -1, N_EXPERTS + 1, -1))
    proba = F.pad(proba, (0, N_TOP - n_top))
    frequencies = opinions.frequencies[:, None].expand(-1, n_rows, -1).gather(2, top)
    entropy = torch.special.entr(opinions.frequencies).sum(1, keepdim=True)
    log_rows = (opinions.total[:, None] / TYPICAL_SUPPORT).log() / 2
    of_table = [opinions.error.log(), opinions.exponents, entropy, log_rows]
    features = [
        proba.flatten(2),
        proba.log().clamp(min=LEAST_LOG).flatten(2) / 2,
        F.pad(frequencies, (0, N_TOP - n_top)),
        *(each[:, None].expand(-1, n_rows, -1) for each in of_table),
    ]
    return torch.cat(features, -1)


def class_left_over(logits: Tensor, codes: Tensor) -> Tensor:
    """Return what is left over of the indicators of classes, (B, s, C); codes (B, s)."""
    return F.one_hot(codes.long(), logits.shape[-1]) - torch.softmax(logits, -1)


def class_left_over_features(logits: Tensor, codes: Tensor) -> Tensor:
    """Numbers (B, s, C + 2) of support rows: what is left over, and of their own class alone."""
    left_over = class_left_over(logits, codes)
    own = codes.long()[..., None]
    log_proba = torch.log_softmax(logits, -1).gather(2, own).clamp(min=LEAST_LOG) / 4
    return torch.cat([left_over, left_over.gather(2, own), log_proba], -1)
