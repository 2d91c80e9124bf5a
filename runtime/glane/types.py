"""Array aliases: the dtype is in the type, the shape is in the docstrings."""

from typing import Any

import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int64]
"""Document numbers in order of last write; -1 where a row of hits is short."""

Scores = npt.NDArray[np.float32]
"""Scores, higher is better; -inf where a row of hits is short."""

Floats = npt.NDArray[np.floating[Any]]
"""Vectors of float32, or of float16 where they are stored."""

Mask = npt.NDArray[np.bool_]
"""True where a token counts."""
