"""What both halves share: the loop, closed forms, devices.

It imports no other folder of the package.
"""

from sklearn_looped.core import forks as forks
