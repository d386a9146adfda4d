"""Exact ranges of a linear map's results over a box of inputs."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from neurocompile.ir.base import FloatArray
from neurocompile.ir.transforms import Linear


def linear_range(transform: Linear, low: FloatArray, high: FloatArray,
                 ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Least and largest of each output element for inputs in [low, high] (flat arrays).

    Exact for integer weights and bounds while sums stay below 2**53.
    """
    weight = transform.weight
    positive = transform.with_weight(np.maximum(weight, 0))
    negative = transform.with_weight(np.minimum(weight, 0))
    low = np.asarray(low, np.float64).reshape(1, *transform.in_shape)
    high = np.asarray(high, np.float64).reshape(1, *transform.in_shape)
    most = positive.apply(high) + negative.apply(low)
    least = positive.apply(low) + negative.apply(high)
    return least.reshape(-1), most.reshape(-1)
