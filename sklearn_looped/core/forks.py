"""Limit a forked process to one torch thread.

The threads of the parent's OpenMP pool do not exist in a forked child, which would wait for them
for ever in its first parallel operation. With one thread it never uses the pool; the workers of
torch's `DataLoader` do the same. Start a child that needs several threads by "forkserver", "spawn"
or joblib's "loky" instead.
"""

import os

import torch


def _on_one_thread() -> None:
    torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_on_one_thread)
