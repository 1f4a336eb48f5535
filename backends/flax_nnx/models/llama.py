"""Twin of `transformers.LlamaForCausalLM`, with greedy decoding as two programs: `prefill` and `decode`.

Decoding is bound by how fast weights stream from memory. XLA:CPU streams them well only through a matrix times
*one* vector, so `_product` cuts small batches into vectors there (docs/design/ has the timings). What is cached is
one array a layer for keys and one for values, of a length fixed beforehand, so that one program serves all steps.

Shapes: B batch, S query positions, T cache positions, H hidden, N heads, K key-value heads, D head width,
O outputs of a projection, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from backends.flax_nnx import layers
from backends.flax_nnx.models import settings
from bench.core import WeighbridgeError

IDLE = frozenset(
    {
        "architectures",
        "attention_dropout",
        "bos_token_id",
        "dtype",
        "eos_token_id",
        "initializer_range",
        "max_position_embeddings",
        "model_type",
        "pad_token_id",
        "pretraining_tp",
        "torch_dtype",
        "transformers_version",
        "unk_token_id",
        "use_cache",
    }
)
"""Keys of a `config.json` that say nothing of a forward pass without dropout."""

FEW_ROWS = 8
"""Up to here, reading a weight once a row beats XLA:CPU's matrix product, which repacks the weight first."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What of `LlamaConfig` shapes the forward pass, with its defaults."""

    vocab_size: int = 32000
    hidden_size: int = 4096
    intermediate_size: int = 11008
    num_hidden_layers: int = 32
    num_attention_heads: int = 32
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    hidden_act: str = "silu"
    rms_norm_eps: float = 1e-6
    rope_theta: float | None = None
    rope_parameters: Mapping[str, Any] | None = None
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False

    def __post_init__(self) -> None:
        kind = (self.rope_parameters or {}).get("rope_type", "default")
        if kind != "default" or self.hidden_act != "silu":
            raise WeighbridgeError(f"the Llama twin has silu and default rope, not {self.hidden_act} and {kind}")

    @property
    def key_heads(self) -> int:
        return self.num_key_value_heads or self.num_attention_heads

    @property
    def head_width(self) -> int:
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def theta(self) -> float:
        return (self.rope_parameters or {}).get("rope_theta", self.rope_theta or 10000.0)


class Past(NamedTuple):
    """Keys and values of one layer, (B, T, K, D) each."""

    keys: Array
    values: Array


class Cache(NamedTuple):
    """Everything that decoding carries on: how many positions are filled, and each layer's past."""

    length: Array
    layers: tuple[Past, ...]


class Place(NamedTuple):
    """What every layer must know of positions: the first one's index, rotary factors and who sees whom."""

    start: Array
    cos_SD: Array
    sin_SD: Array
    mask_ST: Array


class Attention(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        queries, keys = c.num_attention_heads * c.head_width, c.key_heads * c.head_width
        self.q_proj = layers.Linear(c.hidden_size, queries, c.attention_bias, rngs=rngs)
        self.k_proj = layers.Linear(c.hidden_size, keys, c.attention_bias, rngs=rngs)
        self.v_proj = layers.Linear(c.hidden_size, keys, c.attention_bias, rngs=rngs)
        self.o_proj = layers.Linear(queries, c.hidden_size, c.attention_bias, rngs=rngs)
        self.head_width = c.head_width

    def __call__(self, x_BSH: Array, place: Place, past: Past | None) -> tuple[Array, Past]:
        q, k, v = (
            _linear(part, x_BSH).reshape(*x_BSH.shape[:2], -1, self.head_width)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        now = Past(_turn(k, place), v)
        if past is not None:
            now = Past(*(lax.dynamic_update_slice_in_dim(*pair, place.start, 1) for pair in zip(past, now, strict=True)))
        y_BSND = layers.attention(_turn(q, place), now.keys, now.values, place.mask_ST[None, None, None])
        return _linear(self.o_proj, y_BSND.reshape(*x_BSH.shape[:2], -1)), now


class MLP(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.gate_proj = layers.Linear(c.hidden_size, c.intermediate_size, c.mlp_bias, rngs=rngs)
        self.up_proj = layers.Linear(c.hidden_size, c.intermediate_size, c.mlp_bias, rngs=rngs)
        self.down_proj = layers.Linear(c.intermediate_size, c.hidden_size, c.mlp_bias, rngs=rngs)

    def __call__(self, x_BSH: Array) -> Array:
        return _linear(self.down_proj, layers.silu(_linear(self.gate_proj, x_BSH)) * _linear(self.up_proj, x_BSH))


class Layer(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.self_attn = Attention(c, rngs)
        self.mlp = MLP(c, rngs)
        self.input_layernorm = layers.RMSNorm(c.hidden_size, c.rms_norm_eps, rngs=rngs)
        self.post_attention_layernorm = layers.RMSNorm(c.hidden_size, c.rms_norm_eps, rngs=rngs)

    def __call__(self, x_BSH: Array, place: Place, past: Past | None) -> tuple[Array, Past]:
        y_BSH, now = self.self_attn(self.input_layernorm(x_BSH), place, past)
        x_BSH = x_BSH + y_BSH
        return x_BSH + self.mlp(self.post_attention_layernorm(x_BSH)), now


class Model(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.embed_tokens = layers.Embed(c.vocab_size, c.hidden_size, rngs=rngs)
        self.layers = nnx.List([Layer(c, rngs) for _ in range(c.num_hidden_layers)])
        self.norm = layers.RMSNorm(c.hidden_size, c.rms_norm_eps, rngs=rngs)

    def __call__(self, ids_BS: Array, place: Place, past: tuple[Past, ...] | None) -> tuple[Array, tuple[Past, ...]]:
        x_BSH, now = self.embed_tokens(ids_BS), list[Past]()
        for index, layer in enumerate(self.layers):
            x_BSH, kept = layer(x_BSH, place, past and past[index])
            now.append(kept)
        return self.norm(x_BSH), tuple(now)


class Llama(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.model = Model(c, rngs)
        self.lm_head = None if c.tie_word_embeddings else layers.Linear(c.hidden_size, c.vocab_size, False, rngs=rngs)
        self.head_width, self.theta = c.head_width, c.theta
        self.key_heads = c.key_heads

    def place(self, start: Array, count: int, reach: int) -> Place:
        """Positions `start`, `start` + 1, ... of which each sees itself and those before it, of `reach` in all."""
        inverse_d = 1.0 / np.float32(self.theta) ** (np.arange(0, self.head_width, 2, dtype=np.float32) / self.head_width)
        at_S = start + jnp.arange(count)
        angles_SD = jnp.tile(at_S[:, None].astype(jnp.float32) * inverse_d.astype(np.float32), 2)
        return Place(start, jnp.cos(angles_SD), jnp.sin(angles_SD), at_S[:, None] >= jnp.arange(reach))

    def head(self, x_BSH: Array) -> Array:
        """Logits in at least float32."""
        tied = self.lm_head is None
        kernel_HV = self.model.embed_tokens.embedding[...].T if tied else self.lm_head.kernel[...]
        return layers.at_least_float32(_product(x_BSH, kernel_HV))


def build(config: dict[str, Any], rngs: nnx.Rngs) -> Llama:
    return Llama(settings(Config, config, IDLE), rngs)


def forward(module: Llama, inputs: dict[str, Array]) -> dict[str, Array]:
    """input_ids (B, S) -> logits (B, S, V)."""
    ids_BS = inputs["input_ids"]
    place = module.place(jnp.array(0, jnp.int32), ids_BS.shape[1], ids_BS.shape[1])
    return {"logits": module.head(module.model(ids_BS, place, None)[0])}


def prefill(module: Llama, ids_BS: Array, cache_length: int) -> tuple[Array, Array, Cache]:
    """Prompts of one length -> the next token (B,), its logit (B,), and a cache with room for `cache_length`."""
    batch, count = ids_BS.shape
    table = module.model.embed_tokens.embedding[...]
    empty = jnp.zeros((batch, cache_length, module.key_heads, module.head_width), table.dtype)
    past = (Past(empty, empty),) * len(module.model.layers)
    return _advance(module, ids_BS, Cache(jnp.array(0, jnp.int32), past))


def decode(module: Llama, token_B: Array, cache: Cache, count: int) -> tuple[Array, Array, Cache]:
    """Greedily, `count` tokens that follow `token_B`: tokens (B, count), their logits (B, count), the cache."""

    def one(carry: tuple[Array, Cache], _: None) -> tuple[tuple[Array, Cache], tuple[Array, Array]]:
        token_B, logit_B, cache = _advance(module, carry[0][:, None], carry[1])
        return (token_B, cache), (token_B, logit_B)

    (_, cache), (tokens, logits) = lax.scan(one, (token_B, cache), None, length=count)
    return tokens.T, logits.T, cache


def _advance(module: Llama, ids_BS: Array, cache: Cache) -> tuple[Array, Array, Cache]:
    """Takes in `ids_BS`; the likeliest next token, its logit, and the cache that now holds them too."""
    place = module.place(cache.length, ids_BS.shape[1], cache.layers[0].keys.shape[1])
    x_BSH, past = module.model(ids_BS, place, cache.layers)
    logits_BV = module.head(x_BSH[:, -1:])[:, 0]
    token_B = jnp.argmax(logits_BV, -1).astype(jnp.int32)
    return token_B, jnp.max(logits_BV, -1), Cache(cache.length + ids_BS.shape[1], past)


def _turn(x_BSND: Array, place: Place) -> Array:
    """Rotary embedding in Llama's half-split order."""
    cos, sin = (part[:, None].astype(x_BSND.dtype) for part in (place.cos_SD, place.sin_SD))
    low, high = jnp.split(x_BSND, 2, -1)
    return x_BSND * cos + jnp.concatenate([-high, low], -1) * sin


def _linear(layer: layers.Linear, x_BSH: Array) -> Array:
    y_BSO = _product(x_BSH, layer.kernel[...])
    return y_BSO if layer.bias is None else y_BSO + layer.bias[...]


def _product(x_BSH: Array, kernel_HO: Array) -> Array:
    if x_BSH.shape[0] * x_BSH.shape[1] > FEW_ROWS:
        return x_BSH @ kernel_HO
    return lax.platform_dependent(x_BSH, kernel_HO, cpu=_by_rows, default=jnp.matmul)


def _by_rows(x_BSH: Array, kernel_HO: Array) -> Array:
    rows = [row @ kernel_HO for row in x_BSH.reshape(-1, x_BSH.shape[-1])]
    return jnp.stack(rows).reshape(*x_BSH.shape[:2], -1)
