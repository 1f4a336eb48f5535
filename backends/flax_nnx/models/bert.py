"""Twin of `transformers.BertModel` without pooler, as a sentence embedder: mean over the mask, then unit length.

Shapes: B batch, S positions, H hidden, N heads, D head width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import settings

ACTIVATIONS = {"gelu": layers.gelu, "gelu_new": layers.gelu_tanh, "relu": layers.relu}

IDLE = frozenset(
    {
        "architectures",
        "attention_probs_dropout_prob",
        "classifier_dropout",
        "gradient_checkpointing",
        "hidden_dropout_prob",
        "initializer_range",
        "model_type",
        "pad_token_id",
        "position_embedding_type",
        "transformers_version",
        "use_cache",
    }
)
"""Keys of a `config.json` that say nothing of a forward pass without dropout."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What of `BertConfig` shapes the forward pass, with its defaults."""

    vocab_size: int = 30522
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: int = 512
    type_vocab_size: int = 2
    layer_norm_eps: float = 1e-12


class Embeddings(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.word_embeddings = layers.Embed(c.vocab_size, c.hidden_size, rngs=rngs)
        self.position_embeddings = layers.Embed(c.max_position_embeddings, c.hidden_size, rngs=rngs)
        self.token_type_embeddings = layers.Embed(c.type_vocab_size, c.hidden_size, rngs=rngs)
        self.LayerNorm = layers.LayerNorm(c.hidden_size, c.layer_norm_eps, rngs=rngs)

    def __call__(self, ids_BS: Array) -> Array:
        place_SH = self.position_embeddings.embedding[: ids_BS.shape[1]] + self.token_type_embeddings.embedding[:1]
        return self.LayerNorm(self.word_embeddings(ids_BS) + place_SH[None])


class SelfAttention(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.query, self.key, self.value = (layers.Linear(c.hidden_size, c.hidden_size, rngs=rngs) for _ in range(3))
        self.heads = c.num_attention_heads

    def __call__(self, x_BSH: Array, mask: Array) -> Array:
        q, k, v = (part(x_BSH).reshape(*x_BSH.shape[:2], self.heads, -1) for part in (self.query, self.key, self.value))
        return layers.attention(q, k, v, mask).reshape(x_BSH.shape)


class Residual(nnx.Module):
    """What HF calls an output: project, add, normalise."""

    def __init__(self, width: int, c: Config, rngs: nnx.Rngs) -> None:
        self.dense = layers.Linear(width, c.hidden_size, rngs=rngs)
        self.LayerNorm = layers.LayerNorm(c.hidden_size, c.layer_norm_eps, rngs=rngs)

    def __call__(self, y: Array, x_BSH: Array) -> Array:
        return self.LayerNorm(self.dense(y) + x_BSH)


class Attention(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.self = SelfAttention(c, rngs)
        self.output = Residual(c.hidden_size, c, rngs)


class Intermediate(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.dense = layers.Linear(c.hidden_size, c.intermediate_size, rngs=rngs)
        self.activation = ACTIVATIONS[c.hidden_act]


class Layer(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.attention = Attention(c, rngs)
        self.intermediate = Intermediate(c, rngs)
        self.output = Residual(c.intermediate_size, c, rngs)

    def __call__(self, x_BSH: Array, mask: Array) -> Array:
        x_BSH = self.attention.output(self.attention.self(x_BSH, mask), x_BSH)
        return self.output(self.intermediate.activation(self.intermediate.dense(x_BSH)), x_BSH)


class Encoder(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.layer = nnx.List([Layer(c, rngs) for _ in range(c.num_hidden_layers)])


class Bert(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.embeddings = Embeddings(c, rngs)
        self.encoder = Encoder(c, rngs)

    def __call__(self, ids_BS: Array, mask_BS: Array) -> Array:
        x_BSH, mask = self.embeddings(ids_BS), self.seen(mask_BS)
        for layer in self.encoder.layer:
            x_BSH = layer(x_BSH, mask)
        return x_BSH

    def seen(self, mask_BS: Array) -> Array:
        """Every position sees those that the mask has."""
        return mask_BS.astype(bool)[:, None, None, None, :]

    def mean(self, x_BSH: Array, mask_BS: Array) -> Array:
        """Over those that the mask has. -> (B, H)"""
        mask_BS1 = mask_BS[..., None].astype(x_BSH.dtype)
        return jnp.sum(x_BSH * mask_BS1, 1) / jnp.maximum(jnp.sum(mask_BS1, 1), 1e-9)


def build(config: dict[str, Any], rngs: nnx.Rngs) -> Bert:
    return Bert(settings(Config, config, IDLE), rngs)


def forward(module: Bert, inputs: dict[str, Array]) -> dict[str, Array]:
    """input_ids and attention_mask (B, S) -> embedding (B, H) of length 1."""
    x_BSH = layers.at_least_float32(module(inputs["input_ids"], inputs["attention_mask"]))
    mean_BH = module.mean(x_BSH, inputs["attention_mask"])
    length_B1 = jnp.linalg.norm(mean_BH, axis=-1, keepdims=True)
    return {"embedding": mean_BH / jnp.maximum(length_B1, 1e-12)}


def _everyone_sees_padding(module: Any) -> None:
    module.seen = lambda mask_BS: None


def _tanh_gelu(module: Any) -> None:
    for layer in module.encoder.layer:
        layer.intermediate.activation = layers.gelu_tanh


def _pytorchs_eps(module: Any) -> None:
    for _, part in nnx.iter_modules(module):
        if isinstance(part, layers.LayerNorm):
            part.epsilon = 1e-5


def _half_as_many_heads(module: Any) -> None:
    for layer in module.encoder.layer:
        layer.attention.self.heads //= 2


def _no_token_type(module: Any) -> None:
    table = module.embeddings.token_type_embeddings.embedding
    table.set_value(np.zeros_like(table.get_value()))


def _positions_from_two(module: Any) -> None:
    """As RoBERTa's are counted."""
    table = module.embeddings.position_embeddings.embedding
    table.set_value(np.roll(table.get_value(), -2, 0))


def _mean_over_padding(module: Any) -> None:
    mean = module.mean
    module.mean = lambda x_BSH, mask_BS: mean(x_BSH, jnp.ones_like(mask_BS))


OF_THE_BODY: dict[str, Callable[[Any], None]] = {
    "padding is seen": _everyone_sees_padding,
    "GELU by tanh": _tanh_gelu,
    "PyTorch's own eps": _pytorchs_eps,
    "half as many heads": _half_as_many_heads,
    "no token type": _no_token_type,
    "positions from 2": _positions_from_two,
}
MUTANTS = {**OF_THE_BODY, "the mean over padding, too": _mean_over_padding}
"""Mistakes that ports of BERT make, each put into a loaded module."""
