"""Processes that work together, as ``torchrun`` or ``accelerate launch`` starts them."""

import atexit
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """The processes that work together, and which of them this is.

    Parameters
    ----------
    rank : int, default=0
        This process; the first, 0, is the one that writes and prints.
    count : int, default=1
        All of them. One alone has no one to talk to, and every method is free.

    Examples
    --------
    >>> import torch
    >>> from sklearn_looped.core.processes import Processes
    >>> [Processes(rank, 2).share(torch.arange(5)).tolist() for rank in range(2)]
    [[0, 1, 2], [3, 4]]
    """

    rank: int = 0
    count: int = 1

    @classmethod
    def joined(cls) -> "Processes":
        """Join those that a launcher started with this one.

        The group is torch.distributed's: the one that there is (``accelerate.PartialState()`` makes
        one too), else a new one over gloo on CPUs and NCCL on CUDA devices, one device a process.
        Without a launcher: this process alone.

        Examples
        --------
        >>> from sklearn_looped.core.processes import Processes
        >>> Processes.joined()
        Processes(rank=0, count=1)
        """
        if not dist.is_available():
            return cls()
        if not dist.is_initialized():
            if not dist.is_torchelastic_launched():
                return cls()
            if torch.cuda.is_available():
                torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
            dist.init_process_group()
            atexit.register(dist.destroy_process_group)
        return cls(dist.get_rank(), dist.get_world_size())

    def share(self, tensor: Tensor) -> Tensor:
        """Return this process's part of the first dimension; parts differ by one at most."""
        return tensor.tensor_split(self.count)[self.rank]

    def average(self, tensors: Sequence[Tensor], weight: float) -> None:
        """Replace tensors by their weighted sum over the processes, in one all-reduce.

        Parameters
        ----------
        tensors : sequence of Tensor
            On one device; of the same shapes in every process. Changed in place.
        weight : float
            Of this process; the weights of all add up to 1 for a mean.
        """
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors]) * weight
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather(self, value: Any) -> list[Any]:
        """Return what each process gives, to all; none goes on before the last has come."""
        values = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(values, value)
        return values
