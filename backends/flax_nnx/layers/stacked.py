"""Equal modules that run as one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax import nnx
from jax import Array


class Stacked(nnx.Module):
    """`count` equal modules with their leaves laid on one another, axis 0: to PyTorch a ModuleList of as many."""

    def __init__(self, count: int, build: Callable[[nnx.Rngs], Any], *, rngs: nnx.Rngs) -> None:
        self.count = count
        self.member = nnx.vmap(build)(rngs.split(count))

    def __call__(self, x: Array) -> Array:
        """What each says of the same input, axis 0."""
        return nnx.vmap(lambda member, x: member(x), in_axes=(0, None))(self.member, x)
