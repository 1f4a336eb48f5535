"""Norms. They reduce in float32 or wider, with the variance taken about the mean."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from weighbridge.backends.flax_nnx.layers.basics import as_rank, at_least_float32, vector
from weighbridge.backends.flax_nnx.layers.leaves import SCALED, STATISTICS, Leaves


class LayerNorm(nnx.LayerNorm):
    """Over the last axis, with the variance taken about the mean."""

    torch_leaves: ClassVar[Leaves] = SCALED

    def __init__(self, width: int, eps: float = 1e-5, *, rngs: nnx.Rngs) -> None:
        super().__init__(width, epsilon=eps, use_fast_variance=False, rngs=rngs)

    def __call__(self, x: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide = at_least_float32(x)
        centred = wide - jnp.mean(wide, -1, keepdims=True)
        normal = centred * lax.rsqrt(jnp.mean(jnp.square(centred), -1, keepdims=True) + self.epsilon)
        return (normal * vector(self.scale, wide) + vector(self.bias, wide)).astype(x.dtype)


class RMSNorm(nnx.RMSNorm):
    """Over the last axis. Scales after rounding to the input's dtype, as Llama does."""

    torch_leaves: ClassVar[Leaves] = SCALED

    def __init__(self, width: int, eps: float, *, rngs: nnx.Rngs) -> None:
        super().__init__(width, epsilon=eps, rngs=rngs)

    def __call__(self, x: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide = at_least_float32(x)
        normal = wide * lax.rsqrt(jnp.mean(jnp.square(wide), -1, keepdims=True) + self.epsilon)
        return normal.astype(x.dtype) * vector(self.scale, x)


class GroupNorm(nnx.GroupNorm):
    """Over all positions and the channels of a group, which lie side by side; channels are the last axis."""

    torch_leaves: ClassVar[Leaves] = SCALED

    def __init__(self, groups: int, width: int, eps: float = 1e-5, *, rngs: nnx.Rngs) -> None:
        super().__init__(width, num_groups=groups, epsilon=eps, use_fast_variance=False, rngs=rngs)

    def __call__(self, x: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide = at_least_float32(x)
        parts = wide.reshape(x.shape[0], -1, self.num_groups, x.shape[-1] // self.num_groups)
        centred = parts - jnp.mean(parts, (1, 3), keepdims=True)
        normal = centred * lax.rsqrt(jnp.mean(jnp.square(centred), (1, 3), keepdims=True) + self.epsilon)
        return (normal.reshape(x.shape) * vector(self.scale, wide) + vector(self.bias, wide)).astype(x.dtype)


class BatchNorm(nnx.BatchNorm):
    """PyTorch's: momentum weighs the *new* value, and the running variance is the unbiased one (Flax's is biased).

    Starts in inference mode; `module.train()` and `module.eval()` switch it, as in PyTorch.
    """

    torch_leaves: ClassVar[Leaves] = {**SCALED, **STATISTICS}

    def __init__(self, width: int, eps: float = 1e-5, momentum: float = 0.1, *, rngs: nnx.Rngs) -> None:
        super().__init__(width, use_running_average=True, momentum=1 - momentum, epsilon=eps, rngs=rngs)

    def __call__(self, x: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        wide = at_least_float32(x)
        mean, var = (self.mean[...], self.var[...]) if self.use_running_average else self._observe(wide)
        gain = vector(self.scale, wide) * as_rank(lax.rsqrt(var.astype(wide.dtype) + self.epsilon), x.ndim)
        shift = vector(self.bias, wide) - as_rank(mean.astype(wide.dtype), x.ndim) * gain
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
