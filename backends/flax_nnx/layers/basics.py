"""What layers share: activations, and widths and ranks that are made equal in plain sight."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

gelu_tanh = partial(jax.nn.gelu, approximate=True)
relu = jax.nn.relu
silu = jax.nn.silu


def gelu(x: Array) -> Array:
    """Exact, and by erf as PyTorch has it: `jax.nn.gelu` goes by erfc, which takes XLA twice as long."""
    return x * 0.5 * (1.0 + lax.erf(x * 0.5**0.5))


def at_least_float32(x: Array) -> Array:
    """bfloat16 and float16 widened; float32 and float64 as they are."""
    return x if jnp.finfo(x.dtype).bits > 32 else x.astype(jnp.float32)


def vector(variable: nnx.Variable[Array] | None, like: Array) -> Array:
    """A per-channel weight, in the rank and dtype of what it meets: nothing is promoted behind our back."""
    assert variable is not None
    return as_rank(variable[...].astype(like.dtype), like.ndim)


def as_rank(vector: Array, rank: int) -> Array:
    """A vector of channels beside an array of this rank whose last axis is channels."""
    return vector.reshape((1,) * (rank - 1) + (-1,))
