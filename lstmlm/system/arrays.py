"""The types of numpy arrays that annotations name."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]  # float32 or float64
Integers = NDArray[np.integer[Any]]  # of any width: ids as they come from a file, too
Ids = NDArray[np.int64]
Booleans = NDArray[np.bool_]
Array = NDArray[Any]  # of any type
