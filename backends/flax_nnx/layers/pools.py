"""Pools, NHWC. Initial values are numpy's: one that JAX traced would hide from it what is reduced, and with it the
gradient."""

from __future__ import annotations

import numpy as np
from jax import Array, lax


def max_pool(x_BHWC: Array, size: int, stride: int, padding: int) -> Array:
    """PyTorch's MaxPool2d: padding never wins."""
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    lowest = np.array(-np.inf, x_BHWC.dtype)
    return lax.reduce_window(x_BHWC, lowest, lax.max, (1, size, size, 1), (1, stride, stride, 1), around)


def avg_pool(x_BHWC: Array, stride: int) -> Array:
    """PyTorch's AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False): an edge counts what it has."""
    height, width = x_BHWC.shape[1:3]
    room = ((0, 0), (0, -height % stride), (0, -width % stride), (0, 0))
    zero, window = np.zeros((), x_BHWC.dtype), (1, stride, stride, 1)
    total = lax.reduce_window(x_BHWC, zero, lax.add, window, window, room)
    rows, columns = (_counted(length, stride) for length in (height, width))
    count_HW = np.outer(rows, columns).astype(x_BHWC.dtype)
    return total / count_HW[None, :, :, None]


def _counted(length: int, stride: int) -> np.ndarray:
    """How many pixels each window has along an axis."""
    return np.minimum(stride, length - np.arange(0, length, stride))
