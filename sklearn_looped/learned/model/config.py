"""The configuration of the looped network: its fields, their limits, and the papers' presets."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from torch import nn

from sklearn_looped.learned.fields import MAX_LOOPS, MAX_VIEWS, check_flags, check_whole
from sklearn_looped.learned.model.readout import ClassLoss, DistributionLoss

if TYPE_CHECKING:
    from sklearn_looped.learned.model.network import LoopedNetwork

# What a configuration may ask for, also one that comes with a file.
LIMITS = {
    "n_features": (1, 4096), "width": (2, 4096), "n_heads": (1, 256), "n_loop_blocks": (1, 128),
    "n_pre_blocks": (0, 128), "n_post_blocks": (0, 128), "n_loops": (1, MAX_LOOPS),
    "n_quantiles": (1, 10_000), "n_classes": (0, 100), "n_gate_units": (0, 4096),
    "n_views": (1, MAX_VIEWS), "feed_forward": (1, 64), "n_bases": (0, 256),
}  # fmt: skip


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a `LoopedNetwork`; saved with the weights. `LIMITS` bounds every number.

    Parameters
    ----------
    n_features : int, default=32
        Columns of the read-in; narrower tables are padded with zeros.
    width : int, default=256
        D, the size of a token.
    n_heads : int, default=8
        Attention heads of a block.
    n_pre_blocks, n_loop_blocks, n_post_blocks : int, default=0, 1, 0
        Blocks before, in and after the loop: 0, 1, 0 in Yang et al. 2024, 1, 1, 1 in AlgoFormer.
    n_loops : int, default=8
        Loops of a prediction unless another number is given.
    n_quantiles : int, default=31
        Quantiles the readout of a regressor predicts beside the mean.
    injection : bool, default=True
        Whether the prompt is added to the normalised state before every pass. False: weight tying.
    n_gate_units : int, default=0
        Hidden units of the exit gate; 0: no gate.
    n_views : int, default=4
        Views of a table (`views.VIEWS`) that an estimator averages by default.
    centre : bool, default=True
        Whether canonical form takes the means off columns and target (`Standardiser`). False is
        for function classes that have their zero points in common, such as lines through the
        origin.
    experts : bool, default=False
        Whether tokens carry the predictions of closed-form experts for their rows
        (`opinions.Opinions`). The prediction is then the experts' plus the network's correction.
    feed_forward : int, default=4
        Hidden units of a block's feed-forward layer, as a multiple of the width.
    n_bases : int, default=0
        Radial basis functions of each cell in the read-in, beside the cell itself.
    n_classes : int, default=0
        Classes that a classifier tells apart in one pass. 0: a regressor.
    feedback : bool, default=False
        Whether every loop sees what the one before left over on the support rows, each predicted
        without its own target or class. False: support rows carry theirs throughout.
    """

    limits: ClassVar = LIMITS
    tokens_per_row: ClassVar[int] = 1

    n_features: int = 32
    width: int = 256
    n_heads: int = 8
    n_pre_blocks: int = 0
    n_loop_blocks: int = 1
    n_post_blocks: int = 0
    n_loops: int = 8
    n_quantiles: int = 31
    injection: bool = True
    n_gate_units: int = 0
    n_views: int = 4
    centre: bool = True
    experts: bool = False
    feed_forward: int = 4
    n_bases: int = 0
    n_classes: int = 0
    feedback: bool = False

    def __post_init__(self) -> None:
        check_whole(self, self.limits)
        check_flags(self, ("injection", "centre", "experts", "feedback"))
        if self.feedback and self.classifies and not self.experts:
            raise ValueError("feedback=True needs experts=True where classes are predicted.")
        if self.feedback and (self.n_pre_blocks or self.n_post_blocks):
            raise ValueError(
                "feedback=True needs a network without blocks before or after the loop "
                "(n_pre_blocks=0, n_post_blocks=0)."
            )
        if self.width % self.n_heads:
            raise ValueError(
                f"Got width={self.width}, but expected a multiple of n_heads={self.n_heads}."
            )

    @property
    def n_blocks(self) -> int:
        """Blocks that have weights of their own."""
        return self.n_pre_blocks + self.n_loop_blocks + self.n_post_blocks

    @property
    def classifies(self) -> bool:
        """Whether the network predicts classes, not a number."""
        return self.n_classes > 0

    @property
    def votes(self) -> bool:
        """Whether support rows vote on classes (`class_readout.Votes`)."""
        return self.classifies and self.experts

    @property
    def n_outputs(self) -> int:
        """Numbers of the readout: a logit a class, or the mean and the quantiles."""
        return self.n_classes or 1 + self.n_quantiles

    @property
    def loss(self) -> type[nn.Module]:
        """Loss of the readout."""
        return ClassLoss if self.classifies else DistributionLoss

    def build(self) -> "LoopedNetwork":
        """Build the network, with random weights from torch's global generator.

        Returns
        -------
        network : LoopedNetwork
        """
        from sklearn_looped.learned.model.network import LoopedNetwork  # which reads this file

        return LoopedNetwork(self)
