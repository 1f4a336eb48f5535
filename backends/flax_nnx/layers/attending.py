"""Attention, chosen by platform, dtype and shape. Softmax reduces in float32 or wider.

Where the same figure can be had in several ways, the one taken is what XLA runs fastest on CPU (docs/lab-notes.md has
the timings).

Shapes: B batch, S query positions, T key positions, N heads, K key-value heads, G queries a key head, D head width.
"""

from __future__ import annotations

import os
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax

from weighbridge.bench.core import WeighbridgeError

MASKED = -1e30
"""Added to a score that must not count: far below any score, and no overflow when scores are added to it."""

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


def attention(q_BSND: Array, k_BTKD: Array, v_BTKD: Array, seen: Seen = None, bias_BKGST: Array | None = None) -> Array:
    """Scaled dot-product attention; N = K G, so grouped queries need no repeated keys. -> (B, S, N, D)

    `bias_BKGST`, or what broadcasts to that shape, is added to the scaled scores, as relative positions are.
    """
    kind = chosen_attention() or fitting(jax.default_backend(), q_BSND)
    traced.add(kind if kind != "einsum" else "einsum, float32 accumulation")
    if kind == "cudnn":
        return fused_attention(q_BSND, k_BTKD, v_BTKD, seen, "cudnn", bias_BKGST)
    if kind == "xla":
        return fused_attention(q_BSND, k_BTKD, v_BTKD, seen, "xla", bias_BKGST)
    return einsum_attention(q_BSND, k_BTKD, v_BTKD, seen, bias_BKGST)


def fitting(platform: str, q_BSND: Array) -> str:
    """cuDNN's for many queries of a half type on a GPU, as torch's SDPA takes its flash kernel there; ours elsewhere.

    One query a row, as in decoding, is bound by how fast the cache is read, and needs no scores kept from memory.
    """
    many, width = q_BSND.shape[1] > 1, q_BSND.shape[3]
    fits = q_BSND.dtype in HALVES and width % 8 == 0 and width <= FLASH_WIDTH
    return "cudnn" if platform == "gpu" and many and fits else "einsum"


def fused_attention(
    q_BSND: Array,
    k_BTKD: Array,
    v_BTKD: Array,
    seen: Seen,
    implementation: Literal["xla", "cudnn"],
    bias_BKGST: Array | None = None,
) -> Array:
    """JAX's own, told what it can leave out."""
    told: dict[str, Any] = {"implementation": implementation}
    if isinstance(seen, Filled):
        told["key_value_seq_lengths"] = jnp.broadcast_to(seen.keys, q_BSND.shape[:1])
    elif isinstance(seen, str):
        told["is_causal"] = True
    elif seen is not None:
        told["mask"] = _of_heads(seen, q_BSND, k_BTKD)
    if bias_BKGST is not None:
        told["bias"] = _of_heads(bias_BKGST, q_BSND, k_BTKD)
    return jax.nn.dot_product_attention(q_BSND, k_BTKD, v_BTKD, **told)


def _of_heads(told: Array, q_BSND: Array, k_BTKD: Array) -> Array:
    """A mask or bias of rank 5 in rank 4, (B, N or 1, S, T): cuDNN spreads it over heads itself, over queries not."""
    batch, key_heads, groups = told.shape[:3]
    heads = (1, 1) if key_heads == groups == 1 else (k_BTKD.shape[2], q_BSND.shape[2] // k_BTKD.shape[2])
    whole = jnp.broadcast_to(told, (batch, *heads, q_BSND.shape[1], k_BTKD.shape[1]))
    return whole.reshape(batch, -1, *whole.shape[3:])


def einsum_attention(q_BSND: Array, k_BTKD: Array, v_BTKD: Array, seen: Seen, bias_BKGST: Array | None = None) -> Array:
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
    for added in _added(seen, bias_BKGST, queries, keys):
        scores_BKGST = scores_BKLT.reshape(batch, key_heads, -1, queries, keys) + added.astype(wide)
        scores_BKLT = scores_BKGST.reshape(scores_BKLT.shape)
    shares_BKLT = jnp.exp(scores_BKLT - lax.stop_gradient(scores_BKLT.max(-1, keepdims=True)))
    y_BKDL = jnp.einsum("btkd,bklt->bkdl", v_BTKD, shares_BKLT.astype(v_BTKD.dtype), preferred_element_type=wide)
    y_BKDL = (y_BKDL / shares_BKLT.sum(-1)[:, :, None]).astype(q_BSND.dtype)
    return y_BKDL.reshape(batch, key_heads, width, -1, queries).transpose(0, 4, 1, 3, 2).reshape(q_BSND.shape)


def _added(seen: Seen, bias_BKGST: Array | None, queries: int, keys: int) -> list[Array]:
    """Return what is added to the scores."""
    mask = _mask(seen, queries, keys)
    masked = None if mask is None else jnp.where(mask, 0.0, MASKED)
    return [each for each in (bias_BKGST, masked) if each is not None]


def _mask(seen: Seen, queries: int, keys: int) -> Array | None:
    """As booleans of rank 5, for an attention that cannot be told otherwise."""
    if isinstance(seen, Filled):
        return (jnp.arange(keys) < seen.keys)[None, None, None, None]
    if isinstance(seen, str):
        return (jnp.arange(queries)[:, None] >= jnp.arange(keys)[None])[None, None, None]
    return seen
