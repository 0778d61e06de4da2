"""Cooperating processes, as ``torchrun`` or ``accelerate launch`` starts them."""

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
    """The number of cooperating processes and the rank of this one.

    Parameters
    ----------
    rank : int, default=0
        Rank of this process. Process 0 writes and prints.
    count : int, default=1
        Number of processes. With one process no method communicates.

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
        """Join the processes that a launcher started together with this one.

        The group is the existing one of torch.distributed (``accelerate.PartialState()`` makes one
        too), or else a new one, with gloo on CPUs and NCCL on CUDA devices, one device per process.
        Without a launcher the group is this process alone.

        Returns
        -------
        Processes

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
        """Return this process's part of the first dimension; sizes differ by at most one."""
        return tensor.tensor_split(self.count)[self.rank]

    def average(self, tensors: Sequence[Tensor], weight: float) -> None:
        """Replace tensors by their weighted sum over the processes, in one all-reduce.

        Parameters
        ----------
        tensors : sequence of Tensor
            On one device and of the same shapes in every process. They are changed in place.
        weight : float
            Weight of this process. For a mean, the weights of all processes add up to 1.
        """
        if self.count == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors]) * weight
        dist.all_reduce(flat)
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.copy_(part.view_as(tensor))

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all processes to each of them; the call waits for the last one."""
        values = [value] * self.count
        if self.count > 1:
            dist.all_gather_object(values, value)
        return values
