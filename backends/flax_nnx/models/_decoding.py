"""Greedy decoding as two programs, `prefill` and `decode`, and the cache that they carry: what decoders share.

What is cached is one array a layer for keys and one for values, of a length that is fixed while one program runs:
`decode` takes as many steps as it is told, and `grow` gives the cache more room between two of them, so that a token
attends little that is not filled yet.

Shapes: B batch, S query positions, T cache positions, H hidden, K key-value heads, D head width, V vocabulary.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import jax.numpy as jnp
from jax import Array, lax

from weighbridge.backends.flax_nnx import layers


class Past(NamedTuple):
    """Keys and values of one layer, (B, T, K, D) each."""

    keys: Array
    values: Array


class Cache(NamedTuple):
    """Everything that decoding carries on: how many positions are filled, and each layer's past."""

    length: Array
    layers: tuple[Past, ...]


Step = tuple[Array, Array, Cache]


class Decoder(Protocol):
    """What a model says of itself to be decoded. A place is what its layers must know of positions."""

    def place(self, start: Array, count: int, seen: layers.Seen) -> Any:
        """Positions `start`, `start` + 1, ..."""
        ...

    def body(self, ids_BS: Array, place: Any, past: tuple[Past, ...] | None) -> tuple[Array, tuple[Past, ...]]:
        """What comes of tokens, (B, S, H), and each layer's past, these tokens included."""
        ...

    def head(self, x_BSH: Array) -> Array:
        """Logits in at least float32."""
        ...


def extended(past: Past | None, now: Past, start: Array) -> Past:
    """A past with what came after it, put where `start` says."""
    if past is None:
        return now
    pairs = zip(past, now, strict=True)
    return Past(*(lax.dynamic_update_slice_in_dim(old, new, start, 1) for old, new in pairs))


def read(module: Decoder, ids_BS: Array) -> tuple[Array, tuple[Past, ...]]:
    """What comes of prompts, and the keys and values of just their positions."""
    return module.body(ids_BS, module.place(jnp.array(0, jnp.int32), ids_BS.shape[1], "causal"), None)


def prefill(module: Decoder, ids_BS: Array, room: int, wanted_B: Array | None = None) -> Step:
    """Prompts of one length -> the next token (B,), its logit (B,), and a cache with room for `room` positions."""
    x_BSH, past = read(module, ids_BS)
    cache = Cache(jnp.array(ids_BS.shape[1], jnp.int32), past)
    return *_choose(module, x_BSH, wanted_B), grow(cache, room)


def grow(cache: Cache, room: int) -> Cache:
    """The same cache with room for `room` positions."""

    def longer(x_BTKD: Array) -> Array:
        return jnp.pad(x_BTKD, ((0, 0), (0, room - x_BTKD.shape[1]), (0, 0), (0, 0)))

    return Cache(cache.length, tuple(Past(longer(past.keys), longer(past.values)) for past in cache.layers))


def decode(
    module: Decoder, token_B: Array, cache: Cache, count: Array, follow_BT: Array | None = None
) -> tuple[Array, Array, Array, Cache]:
    """`count` tokens that come after `token_B`, which is fed first: tokens and their logits, each (B, T) with nothing
    behind the first `count`; what is fed next; the cache.

    Greedy. With `follow_BT`, its tokens are fed in place of the likeliest, and the logits are theirs. How often it
    runs is data, so that one program serves every count that fits the cache's room.
    """
    batch, room = token_B.shape[0], cache.layers[0].keys.shape[1]
    kinds = (jnp.int32, layers.at_least_float32(cache.layers[0].keys).dtype)
    start: Any = (token_B, cache, *(jnp.zeros((batch, room), kind) for kind in kinds))

    def one(index: Array, carry: Any) -> Any:
        token_B, cache, tokens_BT, logits_BT = carry
        wanted_B = None if follow_BT is None else lax.dynamic_index_in_dim(follow_BT, index, 1, keepdims=False)
        found_B, logit_B, cache = _advance(module, token_B, cache, wanted_B)
        tokens_BT = lax.dynamic_update_index_in_dim(tokens_BT, found_B, index, 1)
        logits_BT = lax.dynamic_update_index_in_dim(logits_BT, logit_B, index, 1)
        return found_B if wanted_B is None else wanted_B, cache, tokens_BT, logits_BT

    token_B, cache, tokens_BT, logits_BT = lax.fori_loop(0, count, one, start)
    return tokens_BT, logits_BT, token_B, cache


def _advance(module: Decoder, token_B: Array, cache: Cache, wanted_B: Array | None) -> Step:
    """Takes in one token a row; the next one, its logit, and the cache that now holds the first, too."""
    place = module.place(cache.length, 1, layers.Filled(cache.length + 1))
    x_BSH, past = module.body(token_B[:, None], place, cache.layers)
    return *_choose(module, x_BSH, wanted_B), Cache(cache.length + 1, past)


def _choose(module: Decoder, x_BSH: Array, wanted_B: Array | None) -> tuple[Array, Array]:
    """The likeliest token after the last position, and its logit, or that of the wanted one."""
    logits_BV = module.head(x_BSH[:, -1:])[:, 0]
    token_B = jnp.argmax(logits_BV, -1).astype(jnp.int32)
    if wanted_B is None:
        return token_B, jnp.max(logits_BV, -1)
    return token_B, jnp.take_along_axis(logits_BV, wanted_B[:, None], -1)[:, 0]
