"""Processes that are forked from one whose torch has worked in several threads.

The child has the parent's pool of OpenMP threads on its books, but none of the threads, and would
wait for them for ever at the first parallel operation. On one thread it never asks the pool: what
torch's own `DataLoader` does in its workers. A child that wants more threads is started by
"forkserver", "spawn" or joblib's "loky", which begin anew.
"""

import os

import torch


def _on_one_thread() -> None:
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_on_one_thread)
