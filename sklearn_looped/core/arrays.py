"""Names of array types."""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Arrays of float64."""
