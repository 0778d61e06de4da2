"""The readout of a classifier: votes of the support rows correct the experts' probabilities.

Shapes: B tables, n rows, s support rows, q queries, h heads, C codes of classes, D width.
"""

import torch
from torch import Tensor, nn

from sklearn_looped.learned.model.blocks import KeysValues, SupportAttention, attend, draw_normal
from sklearn_looped.learned.model.class_opinions import ClassOpinions
from sklearn_looped.learned.model.opinions import N_EXPERTS
from sklearn_looped.learned.model.readout import Readout

VOTE_SCALE = 4.0  # logits for a probability about one half


class Votes(SupportAttention):
    """Votes of the support rows on each class: means of what is left over of it at rows alike.

    One attention, with several heads, for all classes: they are treated alike, however many. Keys
    and queries start from the same weights, so that rows first attend to those like themselves.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__(width, n_heads)
        self.to_key = nn.Linear(width, width, bias=False)
        draw_normal(self.to_query.weight, width**-0.5)
        with torch.no_grad():
            self.to_key.weight.copy_(self.to_query.weight)

    def keys_values(
        self, support: Tensor, left_over: Tensor, weights: Tensor | None = None
    ) -> KeysValues:
        """Return the keys of support rows (B, s, D), and as values what is left over (B, s, C)."""
        keys = self._split_heads(self.to_key(self.attention_norm(support)))
        values = left_over[:, None].to(keys).expand(-1, self.n_heads, -1, -1)
        return KeysValues(keys, values, weights)

    def _pass(self, rows: Tensor, keys_values: KeysValues, left_out: int | None) -> Tensor:
        """Votes (B, n, h, C)."""
        keys, values, weights = keys_values
        queries, bias = self._queries(rows, keys, weights, left_out)
        return attend(queries, keys, values, bias).transpose(1, 2)


class ClassReadout(nn.Module):
    r"""From a query's state and the experts' probabilities to logits: theirs plus a correction.

    .. math:: \ell_c = \sum_e b_e e^{g_e} \log p_{ec} + 4 \sum_h \gamma_h v_{hc},

    where expert e gives class c the probability :math:`p_{ec}` and has the exponent :math:`b_e` in
    the experts' pool, and head h has the vote :math:`v_{hc}` on class c (`Votes`): the mean
    of what the experts left over of it at rows alike, a fourth of which is about what the logit
    lacks. The network says g and :math:`\gamma`, at first zero. Codes that are no class of the
    table have the logit minus infinity.

    Parameters
    ----------
    width : int
        D, the size of a token.
    n_heads : int
        Heads of the votes.
    """

    def __init__(self, width: int, n_heads: int) -> None:
        super().__init__()
        self.correction = Readout(width, n_heads + N_EXPERTS)

    def forward(self, state: Tensor, opinions: ClassOpinions, votes: Tensor) -> Tensor:
        """Map states (B, q, D), opinions of q rows and votes (B, q, h, C) to logits (B, q, C)."""
        raw = self.correction(state).to(opinions.error.dtype)
        gain, preference = raw[..., :-N_EXPERTS], raw[..., -N_EXPERTS:]
        voted = (gain[..., None] * votes.to(gain)).sum(-2)
        return opinions.pool(preference.clamp(-2, 2).exp()) + VOTE_SCALE * voted

    def alone(self, opinions: ClassOpinions) -> Tensor:
        """Logits (B, q, C) of the experts alone."""
        return opinions.pool()
