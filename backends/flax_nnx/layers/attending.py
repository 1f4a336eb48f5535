"""Layers that mean what PyTorch's mean: Flax's own defaults differ in eps, padding, momentum, GELU and variance.

Each subclasses its NNX type, since the bridge is keyed on it, and takes PyTorch's arguments in PyTorch's order.
Compute follows the dtype of weights and inputs; norms and softmax reduce in float32 or wider. Where the same
figure can be had in several ways, the one taken is what XLA runs fastest on CPU (docs/lab-notes.md has the timings).

Shapes: B batch, S query positions, T key positions, K key-value heads, G queries a key head, D head width,
H W height and width, C O channels in and out, h w window.
"""

from __future__ import annotations

import os
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from backends.flax_nnx.convolution import convolve
from bench.core import WeighbridgeError

MASKED = -1e30
"""Added to a score that must not count: far below any score, and no overflow when scores are added to it."""

gelu_tanh = partial(jax.nn.gelu, approximate=True)
relu = jax.nn.relu
silu = jax.nn.silu


def gelu(x: Array) -> Array:
    """Exact, and by erf as PyTorch has it: `jax.nn.gelu` goes by erfc, which takes XLA twice as long."""
    return x * 0.5 * (1.0 + lax.erf(x * 0.5**0.5))


def at_least_float32(x: Array) -> Array:
    """bfloat16 and float16 widened; float32 and float64 as they are."""
    return x if jnp.finfo(x.dtype).bits > 32 else x.astype(jnp.float32)


class Linear(nnx.Linear):
    """y = x W + b on the last axis."""

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, rngs: nnx.Rngs) -> None:
        super().__init__(in_features, out_features, use_bias=bias, rngs=rngs)


class Embed(nnx.Embed):
    """A row a token. An id out of range gives NaN, which parity sees; indexing would clamp it silently."""

    def __init__(self, num_embeddings: int, embedding_dim: int, *, rngs: nnx.Rngs) -> None:
        super().__init__(num_embeddings, embedding_dim, rngs=rngs)

    def __call__(self, ids: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        return jnp.take(self.embedding[...], ids, axis=0)

    def attend(self, x: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Logits of a head that is tied to this table."""
        return jnp.einsum("...d,vd->...v", x, self.embedding[...])


class LayerNorm(nnx.LayerNorm):
    """Over the last axis, with the variance taken about the mean."""

    def __init__(self, width: int, eps: float = 1e-5, *, rngs: nnx.Rngs) -> None:
        super().__init__(width, epsilon=eps, use_fast_variance=False, rngs=rngs)

    def __call__(self, x: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide = at_least_float32(x)
        centred = wide - jnp.mean(wide, -1, keepdims=True)
        normal = centred * lax.rsqrt(jnp.mean(jnp.square(centred), -1, keepdims=True) + self.epsilon)
        return (normal * _vector(self.scale, wide) + _vector(self.bias, wide)).astype(x.dtype)


class RMSNorm(nnx.RMSNorm):
    """Over the last axis. Scales after rounding to the input's dtype, as Llama does."""

    def __init__(self, width: int, eps: float, *, rngs: nnx.Rngs) -> None:
        super().__init__(width, epsilon=eps, rngs=rngs)

    def __call__(self, x: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide = at_least_float32(x)
        normal = wide * lax.rsqrt(jnp.mean(jnp.square(wide), -1, keepdims=True) + self.epsilon)
        return normal.astype(x.dtype) * _vector(self.scale, x)


class BatchNorm(nnx.BatchNorm):
    """PyTorch's: momentum weighs the *new* value, and the running variance is the unbiased one (Flax's is biased).

    Starts in inference mode; `module.train()` and `module.eval()` switch it, as in PyTorch.
    """

    def __init__(self, width: int, eps: float = 1e-5, momentum: float = 0.1, *, rngs: nnx.Rngs) -> None:
        super().__init__(width, use_running_average=True, momentum=1 - momentum, epsilon=eps, rngs=rngs)

    def __call__(self, x: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide = at_least_float32(x)
        mean, var = (self.mean[...], self.var[...]) if self.use_running_average else self._observe(wide)
        gain = _vector(self.scale, wide) * _as_rank(lax.rsqrt(var.astype(wide.dtype) + self.epsilon), x.ndim)
        shift = _vector(self.bias, wide) - _as_rank(mean.astype(wide.dtype), x.ndim) * gain
        return (wide * gain + shift).astype(x.dtype)

    def _observe(self, x: Array) -> tuple[Array, Array]:
        """Mean and variance of this batch, and their share in the running ones."""
        axes = tuple(range(x.ndim - 1))
        mean, var = jnp.mean(x, axes), jnp.var(x, axes)
        count = x.size // x.shape[-1]
        for running, seen in ((self.mean, mean), (self.var, var * (count / max(count - 1, 1)))):
            old = running[...]
            running[...] = self.momentum * old + (1 - self.momentum) * lax.stop_gradient(seen).astype(old.dtype)
        return mean, var


class Conv(nnx.Conv):
    """2-D, NHWC, with explicit padding on every side (Flax's default, SAME, is uneven under a stride)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        window, strides = (kernel_size, kernel_size), (stride, stride)
        super().__init__(in_channels, out_channels, window, strides, padding=padding, use_bias=bias, rngs=rngs)
        self.stride, self.around = stride, padding

    def __call__(self, x_BHWC: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        y_BHWO = convolve(x_BHWC, self.kernel[...], self.stride, self.around)
        return y_BHWO if self.bias is None else y_BHWO + _vector(self.bias, y_BHWO)


def max_pool(x_BHWC: Array, size: int, stride: int, padding: int) -> Array:
    """PyTorch's MaxPool2d: padding never wins."""
    around = ((0, 0), (padding, padding), (padding, padding), (0, 0))
    lowest = jnp.array(-jnp.inf, x_BHWC.dtype)
    return lax.reduce_window(x_BHWC, lowest, lax.max, (1, size, size, 1), (1, stride, stride, 1), around)


def avg_pool(x_BHWC: Array, stride: int) -> Array:
    """PyTorch's AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False): an edge counts what it has."""
    height, width = x_BHWC.shape[1:3]
    room = ((0, 0), (0, -height % stride), (0, -width % stride), (0, 0))
    zero, window = jnp.zeros((), x_BHWC.dtype), (1, stride, stride, 1)
    total = lax.reduce_window(x_BHWC, zero, lax.add, window, window, room)
    ones = jnp.ones((1, height, width, 1), x_BHWC.dtype)
    count = lax.reduce_window(ones, zero, lax.add, window, window, room)
    return total / jnp.broadcast_to(count, total.shape)


ATTENTION_VARIABLE = "WEIGHBRIDGE_JAX_ATTENTION"
"""`einsum`, `xla` or `cudnn`: asks for one attention everywhere. cuDNN's takes half types on NVIDIA devices only."""

HALVES = (jnp.bfloat16, jnp.float16)
FLASH_WIDTH = 128
"""The widest head that cuDNN's attention takes on every device that has it; widths are multiples of 8."""

traced: set[str] = set()
"""The kinds of attention that programs of this process were traced with."""


class Filled(NamedTuple):
    """A query sees the first `keys` of them, and the rest are room."""

    keys: Array


Seen = Array | Filled | Literal["causal"] | None
"""Who sees whom. A boolean mask of rank 5, broadcastable to (B, K, G, S, T); `causal`: a query sees the keys up to its
own index, from 0; None: all see all."""


def chosen_attention() -> str:
    """What the user asks for; nothing leaves it to platform, dtype and shape."""
    chosen = os.environ.get(ATTENTION_VARIABLE, "")
    if chosen not in ("", "einsum", "xla", "cudnn"):
        raise WeighbridgeError(f"{ATTENTION_VARIABLE} is einsum, xla or cudnn, not {chosen}")
    return chosen


def attention(q_BSND: Array, k_BTKD: Array, v_BTKD: Array, seen: Seen = None) -> Array:
    """Scaled dot-product attention; N = K G, so grouped queries need no repeated keys. -> (B, S, N, D)"""
    kind = chosen_attention() or fitting(jax.default_backend(), q_BSND)
    traced.add(kind if kind != "einsum" else "einsum, float32 accumulation")
    if kind == "cudnn":
        return fused_attention(q_BSND, k_BTKD, v_BTKD, seen, "cudnn")
    if kind == "xla":
        return fused_attention(q_BSND, k_BTKD, v_BTKD, seen, "xla")
    return _einsum_attention(q_BSND, k_BTKD, v_BTKD, seen)


def fitting(platform: str, q_BSND: Array) -> str:
    """cuDNN's for many queries of a half type on a GPU, as torch's SDPA takes its flash kernel there; ours elsewhere.

    One query a row, as in decoding, is bound by how fast the cache is read, and needs no scores kept from memory.
    """
    many, width = q_BSND.shape[1] > 1, q_BSND.shape[3]
    fits = q_BSND.dtype in HALVES and width % 8 == 0 and width <= FLASH_WIDTH
    return "cudnn" if platform == "gpu" and many and fits else "einsum"


def fused_attention(
    q_BSND: Array, k_BTKD: Array, v_BTKD: Array, seen: Seen, implementation: Literal["xla", "cudnn"]
) -> Array:
    """JAX's own, told what it can leave out."""
    told: dict[str, Any] = {"implementation": implementation}
    if isinstance(seen, Filled):
        told["key_value_seq_lengths"] = jnp.broadcast_to(seen.keys, q_BSND.shape[:1])
    elif isinstance(seen, str):
        told["is_causal"] = True
    elif seen is not None:
        told["mask"] = _mask_of_heads(seen, q_BSND, k_BTKD)
    return jax.nn.dot_product_attention(q_BSND, k_BTKD, v_BTKD, **told)


def _mask_of_heads(mask: Array, q_BSND: Array, k_BTKD: Array) -> Array:
    """A mask of rank 5 in rank 4, (B, N or 1, S, T): cuDNN spreads it over heads itself, and over queries does not."""
    batch, key_heads, groups = mask.shape[:3]
    heads = (1, 1) if key_heads == groups == 1 else (k_BTKD.shape[2], q_BSND.shape[2] // k_BTKD.shape[2])
    whole = jnp.broadcast_to(mask, (batch, *heads, q_BSND.shape[1], k_BTKD.shape[1]))
    return whole.reshape(batch, -1, *whole.shape[3:])


def _einsum_attention(q_BSND: Array, k_BTKD: Array, v_BTKD: Array, seen: Seen) -> Array:
    """Ours. Three things halve its time on CPU: products of rank 4, with L = G S queries a key head; values on the
    left, so that the long axis ends the product; and the division by the softmax's total last, on D figures a query
    in place of T. Half types are rounded where a product wants them, and nowhere between.
    """
    (batch, queries, heads, width), (keys, key_heads) = q_BSND.shape, k_BTKD.shape[1:3]
    split, half = (batch, queries, key_heads, heads // key_heads, width), q_BSND.dtype in HALVES
    wide = jnp.dtype(jnp.float32) if half else q_BSND.dtype
    scaled = q_BSND if half else q_BSND * width**-0.5
    q_BKLD = scaled.reshape(split).transpose(0, 2, 3, 1, 4).reshape(batch, key_heads, -1, width)
    scores_BKLT = jnp.einsum("bkld,btkd->bklt", q_BKLD, k_BTKD, preferred_element_type=wide)
    scores_BKLT = scores_BKLT * width**-0.5 if half else scores_BKLT
    if (mask := _mask(seen, queries, keys)) is not None:
        bias = jnp.where(mask, 0.0, MASKED).astype(wide)
        scores_BKGST = scores_BKLT.reshape(batch, key_heads, -1, queries, keys) + bias
        scores_BKLT = scores_BKGST.reshape(scores_BKLT.shape)
    shares_BKLT = jnp.exp(scores_BKLT - lax.stop_gradient(scores_BKLT.max(-1, keepdims=True)))
    y_BKDL = jnp.einsum("btkd,bklt->bkdl", v_BTKD, shares_BKLT.astype(v_BTKD.dtype), preferred_element_type=wide)
    y_BKDL = (y_BKDL / shares_BKLT.sum(-1)[:, :, None]).astype(q_BSND.dtype)
    return y_BKDL.reshape(batch, key_heads, width, -1, queries).transpose(0, 4, 1, 3, 2).reshape(q_BSND.shape)


def _mask(seen: Seen, queries: int, keys: int) -> Array | None:
    """As booleans of rank 5, for an attention that cannot be told otherwise."""
    if isinstance(seen, Filled):
        return (jnp.arange(keys) < seen.keys)[None, None, None, None]
    if isinstance(seen, str):
        return (jnp.arange(queries)[:, None] >= jnp.arange(keys)[None])[None, None, None]
    return seen


def _vector(variable: nnx.Variable[Array] | None, like: Array) -> Array:
    """A per-channel weight, in the rank and dtype of what it meets: nothing is promoted behind our back."""
    assert variable is not None
    return _as_rank(variable[...].astype(like.dtype), like.ndim)


def _as_rank(vector: Array, rank: int) -> Array:
    return vector.reshape((1,) * (rank - 1) + (-1,))
