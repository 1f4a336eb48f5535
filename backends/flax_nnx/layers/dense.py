"""Products with a matrix, rows of a table, and chance."""

from __future__ import annotations

from typing import ClassVar

import jax.numpy as jnp
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx.layers.leaves import MATRIX, Leaf, Leaves


class Linear(nnx.Linear):
    """y = x W + b on the last axis."""

    torch_leaves: ClassVar[Leaves] = MATRIX

    def __init__(self, in_features: int, out_features: int, bias: bool = True, *, rngs: nnx.Rngs) -> None:
        super().__init__(in_features, out_features, use_bias=bias, rngs=rngs)


class Conv1D(nnx.Linear):
    """transformers' layer of that name, as GPT-2 has it: a product whose weight lies as it does here."""

    torch_leaves: ClassVar[Leaves] = {"kernel": Leaf("weight")}

    def __init__(self, out_features: int, in_features: int, *, rngs: nnx.Rngs) -> None:
        super().__init__(in_features, out_features, rngs=rngs)


class Embed(nnx.Embed):
    """A row a token. An id out of range gives NaN, which parity sees; indexing would clamp it silently."""

    torch_leaves: ClassVar[Leaves] = {"embedding": Leaf("weight")}

    def __init__(self, num_embeddings: int, embedding_dim: int, *, rngs: nnx.Rngs) -> None:
        super().__init__(num_embeddings, embedding_dim, rngs=rngs)

    def __call__(self, ids: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        return jnp.take(self.embedding[...], ids, axis=0)

    def attend(self, x: Array) -> Array:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Logits of a head that is tied to this table."""
        return jnp.einsum("...d,vd->...v", x, self.embedding[...])


class Dropout(nnx.Dropout):
    """Off, as in a PyTorch module in eval mode, until `module.train()`; its stream is part of the module's state."""

    def __init__(self, rate: float, *, rngs: nnx.Rngs) -> None:
        super().__init__(rate, deterministic=True, rngs=rngs)
