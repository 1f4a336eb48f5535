"""Convolutions with PyTorch's arguments, in its order; images are NHWC, sequences are (B, L, C)."""

from __future__ import annotations

from typing import ClassVar

from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx.layers.basics import vector
from weighbridge.backends.flax_nnx.layers.convolve import Pair, Window, convolve, transposed
from weighbridge.backends.flax_nnx.layers.leaves import Leaf, Leaves

Pairs = int | Pair
"""One figure stands for rows and columns alike."""


def pair(value: Pairs) -> Pair:
    return (value, value) if isinstance(value, int) else value


class Conv(nnx.Conv):
    """2-D, with explicit padding on every side (Flax's default, SAME, is uneven under a stride)."""

    torch_leaves: ClassVar[Leaves] = {"kernel": Leaf("weight", (3, 2, 0, 1))}

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pairs,
        stride: Pairs = 1,
        padding: Pairs = 0,
        dilation: Pairs = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.window = Window(pair(stride), pair(padding), pair(dilation), groups)
        super().__init__(
            in_channels, out_channels, pair(kernel_size), pair(stride), feature_group_count=groups, use_bias=bias,
            rngs=rngs,
        )  # fmt: skip

    def __call__(self, x_BHWC: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        y_BHWO = convolve(x_BHWC, self.kernel[...], self.window)
        return y_BHWO if self.bias is None else y_BHWO + vector(self.bias, y_BHWO)


class Conv1d(nnx.Conv):
    """1-D: an image of one row, so that the same ways are open to it."""

    torch_leaves: ClassVar[Leaves] = {"kernel": Leaf("weight", (2, 1, 0))}

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.window = Window((1, stride), (0, padding), (1, dilation), groups)
        super().__init__(
            in_channels, out_channels, (kernel_size,), (stride,), feature_group_count=groups, use_bias=bias, rngs=rngs
        )

    def __call__(self, x_BLC: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        y_BLO = convolve(x_BLC[:, None], self.kernel[...][None], self.window)[:, 0]
        return y_BLO if self.bias is None else y_BLO + vector(self.bias, y_BLO)


class ConvTranspose(nnx.ConvTranspose):
    """2-D, of one group: the gradient of a convolution, as PyTorch has it (Flax's own does not turn the kernel)."""

    torch_leaves: ClassVar[Leaves] = {"kernel": Leaf("weight", (2, 3, 0, 1))}

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pairs,
        stride: Pairs = 1,
        padding: Pairs = 0,
        output_padding: Pairs = 0,
        bias: bool = True,
        dilation: Pairs = 1,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        self.window, self.more = Window(pair(stride), pair(padding), pair(dilation)), pair(output_padding)
        super().__init__(in_channels, out_channels, pair(kernel_size), pair(stride), use_bias=bias, rngs=rngs)

    def __call__(self, x_BHWC: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        y_BHWO = transposed(x_BHWC, self.kernel[...], self.window, self.more)
        return y_BHWO if self.bias is None else y_BHWO + vector(self.bias, y_BHWO)
