"""What both halves share: the loop, the kernel machine, devices. It imports only torch."""

from sklearn_looped.core import forks as forks
