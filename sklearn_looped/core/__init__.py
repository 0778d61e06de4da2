"""The one idea both halves share, the loop, and the choice of device. Needs torch only."""

from sklearn_looped.core import forks as forks
