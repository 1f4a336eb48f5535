"""Layers that mean what PyTorch's mean: Flax's own defaults differ in eps, padding, momentum, GELU and variance.

Each takes PyTorch's arguments in PyTorch's order, and says how PyTorch has its leaves, which the bridge goes by.
Compute follows the dtype of weights and inputs; norms and softmax reduce in float32 or wider.
"""

from weighbridge.backends.flax_nnx.layers.attending import (
    ATTENTION_VARIABLE,
    Filled,
    Seen,
    attention,
    chosen_attention,
    einsum_attention,
    fitting,
    fused_attention,
    traced,
)
from weighbridge.backends.flax_nnx.layers.basics import at_least_float32, gelu, gelu_tanh, relu, silu
from weighbridge.backends.flax_nnx.layers.convolutions import Conv, Conv1d, ConvTranspose
from weighbridge.backends.flax_nnx.layers.dense import Conv1D, Dropout, Embed, Linear
from weighbridge.backends.flax_nnx.layers.leaves import Leaf, Leaves, Speaks
from weighbridge.backends.flax_nnx.layers.norms import BatchNorm, GroupNorm, LayerNorm, RMSNorm
from weighbridge.backends.flax_nnx.layers.pools import avg_pool, max_pool
from weighbridge.backends.flax_nnx.layers.stacked import Stacked

__all__ = [
    "ATTENTION_VARIABLE", "BatchNorm", "Conv", "Conv1D", "Conv1d", "ConvTranspose", "Dropout", "Embed", "Filled",
    "GroupNorm", "LayerNorm", "Leaf", "Leaves", "Linear", "RMSNorm", "Seen", "Speaks", "Stacked",
    "at_least_float32", "attention", "avg_pool", "chosen_attention", "einsum_attention", "fitting", "fused_attention",
    "gelu", "gelu_tanh", "max_pool", "relu", "silu", "traced",
]  # fmt: skip
