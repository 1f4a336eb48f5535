"""Several ways to the same 2-D convolution, chosen by what its static shape allows.

XLA:CPU hands a convolution to Eigen (`compiling`), but not one whose window is larger than its image, as in the last
stage of a network fed 28x28: its own loops then take up to 48 times as long as one matrix product of gathered pixels
(2x2 pixels, 512 channels: 69.6 ms against 1.4; from 3x3 pixels on Eigen is ahead; jaxlib 0.10.2, Zen 4).
Nor are its loops fast where every channel has a window of its own, which is better shifted and added. Windows that do
not overlap need no convolution. Elsewhere, and off the CPU, XLA's own is best.

Shapes: B batch, H W height and width, C O channels in and out, I channels in of a group, h w window.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax

from weighbridge.backends.flax_nnx.layers.basics import at_least_float32

FEW_PIXELS = 4
"""Output pixels up to which gathering beats Eigen: 2x2 by 1.5 to 2.3, 1x1 by 1.3 to 2.3; at 3x3 it loses by 1.3."""
LAYOUT = ("NHWC", "HWIO", "NHWC")
Pair = tuple[int, int]


class Window(NamedTuple):
    """How a kernel is moved over an image, rows first; padding is zeros, as many on either side."""

    strides: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution whose useful taps are `first` to `last`."""

    first: int
    last: int
    stride: int
    dilation: int
    out: int
    room: Pair

    @classmethod
    def of(cls, length: int, size: int, stride: int, padding: int, dilation: int) -> Axis:
        """Taps that only ever meet padding are dropped: on one pixel, two of three."""
        out = (length + 2 * padding - dilation * (size - 1) - 1) // stride + 1
        starts = [tap * dilation - padding for tap in range(size)]
        reached = [range(start, start + out * stride, stride) for start in starts]
        useful = [tap for tap, pixels in enumerate(reached) if any(0 <= pixel < length for pixel in pixels)] or [0]
        first, last = useful[0], useful[-1]
        low, high = padding - first * dilation, (out - 1) * stride + last * dilation - padding - length + 1
        return cls(first, last, stride, dilation, out, (low, high))

    def seen_by(self, tap: int) -> slice:
        """Which pixels a tap meets, of an axis with its room around it."""
        start = (tap - self.first) * self.dilation
        return slice(start, start + (self.out - 1) * self.stride + 1, self.stride)


def convolve(x_BHWC: Array, kernel_hwIO: Array, window: Window) -> Array:
    """PyTorch's Conv2d. -> (B, H, W, O)"""
    sizes = kernel_hwIO.shape[:2]
    plain = window.groups == 1 and window.dilation == (1, 1)
    fits = all(size <= stride for size, stride in zip(sizes, window.strides, strict=True))
    if plain and fits and window.padding == (0, 0):
        return _apart(x_BHWC, kernel_hwIO, window.strides)
    rows, columns = (
        Axis.of(*of_axis)
        for of_axis in zip(x_BHWC.shape[1:3], sizes, window.strides, window.padding, window.dilation, strict=True)
    )
    kernel_hwIO = kernel_hwIO[rows.first : rows.last + 1, columns.first : columns.last + 1]

    def native(x_BHWC: Array, kernel_hwIO: Array) -> Array:
        return lax.conv_general_dilated(
            x_BHWC, kernel_hwIO, window.strides, (rows.room, columns.room), rhs_dilation=window.dilation,
            dimension_numbers=LAYOUT, feature_group_count=window.groups,
        )  # fmt: skip

    def gathered(x_BHWC: Array, kernel_hwIO: Array) -> Array:
        return _gathered(x_BHWC, kernel_hwIO, rows, columns)

    def shifted(x_BHWC: Array, kernel_hwIO: Array) -> Array:
        return _shifted(x_BHWC, kernel_hwIO, rows, columns)

    if window.groups == x_BHWC.shape[-1] == kernel_hwIO.shape[-1] > 1:
        return lax.platform_dependent(x_BHWC, kernel_hwIO, cpu=shifted, default=native)
    over = any(size > length for size, length in zip(kernel_hwIO.shape[:2], x_BHWC.shape[1:3], strict=True))
    if window.groups > 1 or not (over or rows.out * columns.out <= FEW_PIXELS):
        return native(x_BHWC, kernel_hwIO)
    return lax.platform_dependent(x_BHWC, kernel_hwIO, cpu=gathered, default=native)


def transposed(x_BHWC: Array, kernel_hwIO: Array, window: Window, more: Pair = (0, 0)) -> Array:
    """PyTorch's ConvTranspose2d of one group; `more` is its output_padding. -> (B, H, W, O)"""
    reach = [dilation * (size - 1) for dilation, size in zip(window.dilation, kernel_hwIO.shape[:2], strict=True)]
    room = [
        (far - padding, far - padding + extra)
        for far, padding, extra in zip(reach, window.padding, more, strict=True)
    ]  # fmt: skip
    return lax.conv_general_dilated(
        x_BHWC, kernel_hwIO[::-1, ::-1], (1, 1), room, lhs_dilation=window.strides, rhs_dilation=window.dilation,
        dimension_numbers=LAYOUT,
    )  # fmt: skip


def _apart(x_BHWC: Array, kernel_hwCO: Array, strides: Pair) -> Array:
    """Windows that do not overlap: cut them out and multiply."""
    (high, wide), (down, across), (batch, height, width, channels) = kernel_hwCO.shape[:2], strides, x_BHWC.shape
    if (high, wide) == (1, 1):
        return jnp.einsum("bhwc,co->bhwo", x_BHWC[:, ::down, ::across], kernel_hwCO[0, 0])
    rows, columns = (height - high) // down + 1, (width - wide) // across + 1
    room = [(0, 0), (0, max(0, rows * down - height)), (0, max(0, columns * across - width)), (0, 0)]
    cut = jnp.pad(x_BHWC, room)[:, : rows * down, : columns * across]
    windows = cut.reshape(batch, rows, down, columns, across, channels)[:, :, :high, :, :wide]
    return jnp.einsum("bHhWwc,hwco->bHWo", windows, kernel_hwCO)


def _gathered(x_BHWC: Array, kernel_hwCO: Array, rows: Axis, columns: Axis) -> Array:
    """Every tap's view of the image side by side, then one matrix product."""
    height, width, channels, out = kernel_hwCO.shape
    views = _views(x_BHWC, rows, columns)
    return jnp.einsum("bhwk,ko->bhwo", jnp.concatenate(views, -1), kernel_hwCO.reshape(height * width * channels, out))


def _shifted(x_BHWC: Array, kernel_hw1C: Array, rows: Axis, columns: Axis) -> Array:
    """A window a channel: every tap's view times its weights, added up in float32 or wider."""
    weights = at_least_float32(kernel_hw1C).reshape(-1, 1, 1, 1, kernel_hw1C.shape[-1])
    views = _views(x_BHWC, rows, columns)
    total = at_least_float32(views[0]) * weights[0]
    for view, weight in zip(views[1:], weights[1:], strict=True):
        total = total + at_least_float32(view) * weight
    return total.astype(x_BHWC.dtype)


def _views(x_BHWC: Array, rows: Axis, columns: Axis) -> list[Array]:
    """What each tap meets, row by row. Room may be negative: then the edge is never met."""
    room = [(max(low, 0), max(high, 0)) for low, high in (rows.room, columns.room)]
    padded = jnp.pad(x_BHWC, [(0, 0), *room, (0, 0)])
    padded = padded[:, max(-rows.room[0], 0) :, max(-columns.room[0], 0) :]
    return [
        padded[:, rows.seen_by(h), columns.seen_by(w)]
        for h in range(rows.first, rows.last + 1)
        for w in range(columns.first, columns.last + 1)
    ]
