"""Three ways to the same 2-D convolution, chosen by what its static shape allows.

XLA:CPU hands a convolution to Eigen, which is within 1.0-1.4 of PyTorch's time on large images, and 20 times slower
on those of 2x2 and 1x1 pixels, the last stage of a network fed 28x28. Windows that do not overlap need no
convolution; few pixels are better gathered into one matrix product; elsewhere, and off the CPU, XLA's own is best.

Shapes: B batch, H W height and width, C O channels in and out, h w window.
"""

from __future__ import annotations

from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array, lax

FEW_PIXELS = 49
"""Output pixels up to which gathering beats Eigen: 7x7 by 1.1-1.3, 2x2 by 22; at 14x14 it loses by 1.2."""


@dataclass(frozen=True)
class _Axis:
    """One spatial axis of a convolution whose useful taps are `first` to `last`."""

    first: int
    last: int
    out: int
    room: tuple[int, int]

    @classmethod
    def of(cls, length: int, size: int, stride: int, padding: int) -> _Axis:
        """Taps that only ever meet padding are dropped: on one pixel, two of three."""
        out = (length + 2 * padding - size) // stride + 1
        useful = [tap for tap in range(size) if any(0 <= o * stride + tap - padding < length for o in range(out))]
        first, last = useful[0], useful[-1]
        return cls(first, last, out, (padding - first, (out - 1) * stride + last - padding - length + 1))


def convolve(x_BHWC: Array, kernel_hwCO: Array, stride: int, padding: int) -> Array:
    """Zero padding on every side, one stride, one size: PyTorch's Conv2d without groups or dilation. -> (B, H, W, O)"""
    size = kernel_hwCO.shape[0]
    if padding == 0 and size <= stride:
        return _apart(x_BHWC, kernel_hwCO, stride)
    rows, columns = (_Axis.of(length, size, stride, padding) for length in x_BHWC.shape[1:3])
    kernel_hwCO = kernel_hwCO[rows.first : rows.last + 1, columns.first : columns.last + 1]

    def gathered(x_BHWC: Array, kernel_hwCO: Array) -> Array:
        return _gathered(x_BHWC, kernel_hwCO, stride, rows, columns)

    def native(x_BHWC: Array, kernel_hwCO: Array) -> Array:
        layout, room = ("NHWC", "HWIO", "NHWC"), (rows.room, columns.room)
        return lax.conv_general_dilated(x_BHWC, kernel_hwCO, (stride, stride), room, dimension_numbers=layout)

    if rows.out * columns.out > FEW_PIXELS:
        return native(x_BHWC, kernel_hwCO)
    return lax.platform_dependent(x_BHWC, kernel_hwCO, cpu=gathered, default=native)


def _apart(x_BHWC: Array, kernel_hwCO: Array, stride: int) -> Array:
    """Windows that do not overlap: cut them out and multiply."""
    size, (batch, height, width, channels) = kernel_hwCO.shape[0], x_BHWC.shape
    if size == 1:
        return jnp.einsum("bhwc,co->bhwo", x_BHWC[:, ::stride, ::stride], kernel_hwCO[0, 0])
    rows, columns = (height - size) // stride + 1, (width - size) // stride + 1
    room = [(0, 0), (0, max(0, rows * stride - height)), (0, max(0, columns * stride - width)), (0, 0)]
    cut = jnp.pad(x_BHWC, room)[:, : rows * stride, : columns * stride]
    windows = cut.reshape(batch, rows, stride, columns, stride, channels)[:, :, :size, :, :size]
    return jnp.einsum("bHhWwc,hwco->bHWo", windows, kernel_hwCO)


def _gathered(x_BHWC: Array, kernel_hwCO: Array, stride: int, rows: _Axis, columns: _Axis) -> Array:
    """Every tap's view of the image side by side, then one matrix product."""
    room = [(0, 0), *((low, max(high, 0)) for low, high in (rows.room, columns.room)), (0, 0)]
    padded, (height, width, channels, out) = jnp.pad(x_BHWC, room), kernel_hwCO.shape
    views = [
        padded[:, h : h + (rows.out - 1) * stride + 1 : stride, w : w + (columns.out - 1) * stride + 1 : stride]
        for h in range(height)
        for w in range(width)
    ]
    return jnp.einsum("bhwk,ko->bhwo", jnp.concatenate(views, -1), kernel_hwCO.reshape(height * width * channels, out))
