"""Twin of `transformers.LlamaForCausalLM`, with greedy decoding as two programs: `prefill` and `decode`.

Decoding is bound by how fast weights stream from memory. XLA:CPU streams them well only through a matrix that lies a
row an output, times *one* vector: `rows_first` lays them so, and `_by_rows` cuts small batches into vectors
(docs/design/ has the timings). What is cached is one array a layer for keys and one for values, of a length fixed
beforehand, so that one program serves all steps.

Shapes: B batch, S query positions, T cache positions, H hidden, N heads, K key-value heads, D head width,
O outputs of a projection, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


class Rows(nnx.Module):
    """Several projections of one input as one matrix that lies a row an output."""

    def __init__(self, parts: Sequence[layers.Linear]) -> None:
        self.weight = nnx.Param(jnp.concatenate([part.kernel[...].T for part in parts]))
        biases = [part.bias[...] for part in parts if part.bias is not None]
        self.bias = nnx.data(nnx.Param(jnp.concatenate(biases)) if biases else None)
        self.ends = tuple(np.cumsum([part.out_features for part in parts])[:-1].tolist())

    def __call__(self, x_BSH: Array) -> list[Array]:
        y_BSO = _by_rows(x_BSH, self.weight[...])
        return jnp.split(y_BSO if self.bias is None else y_BSO + self.bias[...][None, None], self.ends, -1)


class Projecting(nnx.Module):
    """What owns projections and can join those of one input. `rows` holds the joined ones, under the first's name."""

    def __init__(self) -> None:
        self.rows = nnx.data(dict[str, Rows]())

    def project(self, x_BSH: Array, *names: str) -> list[Array]:
        """One output a name."""
        if names[0] in self.rows:
            return self.rows[names[0]](x_BSH)
        return [getattr(self, name)(x_BSH) for name in names]

    def join(self, *names: str) -> None:
        """From now on the projections `names` are one."""
        self.rows[names[0]] = Rows([getattr(self, name) for name in names])
        for name in names:
            delattr(self, name)


class Attention(Projecting):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__()
        queries, keys = c.num_attention_heads * c.head_width, c.key_heads * c.head_width
        self.q_proj = layers.Linear(c.hidden_size, queries, c.attention_bias, rngs=rngs)
        self.k_proj = layers.Linear(c.hidden_size, keys, c.attention_bias, rngs=rngs)
        self.v_proj = layers.Linear(c.hidden_size, keys, c.attention_bias, rngs=rngs)
        self.o_proj = layers.Linear(queries, c.hidden_size, c.attention_bias, rngs=rngs)
        self.head_width = c.head_width

    def __call__(self, x_BSH: Array, place: Place, past: Past | None) -> tuple[Array, Past]:
        shape = (*x_BSH.shape[:2], -1, self.head_width)
        q, k, v = (y.reshape(shape) for y in self.project(x_BSH, "q_proj", "k_proj", "v_proj"))
        now = Past(_turn(k, place), v)
        if past is not None:
            pairs = zip(past, now, strict=True)
            now = Past(*(lax.dynamic_update_slice_in_dim(old, new, place.start, 1) for old, new in pairs))
        y_BSND = layers.attention(_turn(q, place), now.keys, now.values, place.mask_ST[None, None, None])
        return self.project(y_BSND.reshape(*x_BSH.shape[:2], -1), "o_proj")[0], now


class MLP(Projecting):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__()
        self.gate_proj = layers.Linear(c.hidden_size, c.intermediate_size, c.mlp_bias, rngs=rngs)
        self.up_proj = layers.Linear(c.hidden_size, c.intermediate_size, c.mlp_bias, rngs=rngs)
        self.down_proj = layers.Linear(c.intermediate_size, c.hidden_size, c.mlp_bias, rngs=rngs)

    def __call__(self, x_BSH: Array) -> Array:
        gate, up = self.project(x_BSH, "gate_proj", "up_proj")
        return self.project(layers.silu(gate) * up, "down_proj")[0]


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
        for layer, old in zip(self.layers, past or (None,) * len(self.layers), strict=True):
            x_BSH, kept = layer(x_BSH, place, old)
            now.append(kept)
        return self.norm(x_BSH), tuple(now)


class Llama(Projecting):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__()
        self.model = Model(c, rngs)
        if not c.tie_word_embeddings:
            self.lm_head = layers.Linear(c.hidden_size, c.vocab_size, False, rngs=rngs)
        self.config = c

    def place(self, start: Array, count: int, reach: int) -> Place:
        """Positions `start`, `start` + 1, ... of which each sees itself and those before it, of `reach` in all."""
        width, theta = self.config.head_width, np.float32(self.config.theta)
        inverse = 1 / theta ** (np.arange(0, width, 2, dtype=np.float32) / np.float32(width))
        at_S = start + jnp.arange(count)
        angles_SD = at_S[:, None].astype(jnp.float32) * np.tile(inverse, 2)[None]
        return Place(start, jnp.cos(angles_SD), jnp.sin(angles_SD), at_S[:, None] >= jnp.arange(reach)[None])

    def head(self, x_BSH: Array) -> Array:
        """Logits in at least float32."""
        if self.config.tie_word_embeddings:
            return layers.at_least_float32(_by_rows(x_BSH, self.model.embed_tokens.embedding[...]))
        return layers.at_least_float32(self.project(x_BSH, "lm_head")[0])


def build(config: dict[str, Any], rngs: nnx.Rngs) -> Llama:
    return Llama(settings(Config, config, IDLE), rngs)


def rows_first(module: Llama) -> None:
    """Lays every projection, in place, as a CPU decodes fastest. Names are no longer PyTorch's after it."""
    for layer in module.model.layers:
        layer.self_attn.join("q_proj", "k_proj", "v_proj")
        layer.self_attn.join("o_proj")
        layer.mlp.join("gate_proj", "up_proj")
        layer.mlp.join("down_proj")
    if not module.config.tie_word_embeddings:
        module.join("lm_head")


def forward(module: Llama, inputs: dict[str, Array]) -> dict[str, Array]:
    """input_ids (B, S) -> logits (B, S, V)."""
    ids_BS = inputs["input_ids"]
    place = module.place(jnp.array(0, jnp.int32), ids_BS.shape[1], ids_BS.shape[1])
    return {"logits": module.head(module.model(ids_BS, place, None)[0])}


def prefill(module: Llama, ids_BS: Array, cache_length: int) -> tuple[Array, Array, Cache]:
    """Prompts of one length -> the next token (B,), its logit (B,), and a cache with room for `cache_length`."""
    c, dtype = module.config, module.model.embed_tokens.embedding[...].dtype
    empty = jnp.zeros((ids_BS.shape[0], cache_length, c.key_heads, c.head_width), dtype)
    past = (Past(empty, empty),) * c.num_hidden_layers
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
    cos, sin = (part[None, :, None].astype(x_BSND.dtype) for part in (place.cos_SD, place.sin_SD))
    low, high = jnp.split(x_BSND, 2, -1)
    return x_BSND * cos + jnp.concatenate([-high, low], -1) * sin


def _by_rows(x_BSH: Array, rows_OH: Array) -> Array:
    """x times the transpose of `rows_OH`; on a CPU, few positions go one by one."""
    if x_BSH.shape[0] * x_BSH.shape[1] > FEW_ROWS:
        return _at_once(x_BSH, rows_OH)
    return lax.platform_dependent(x_BSH, rows_OH, cpu=_one_by_one, default=_at_once)


def _at_once(x_BSH: Array, rows_OH: Array) -> Array:
    return jnp.einsum("bsh,oh->bso", x_BSH, rows_OH)


def _one_by_one(x_BSH: Array, rows_OH: Array) -> Array:
    y = [rows_OH @ x_H for x_H in x_BSH.reshape(-1, x_BSH.shape[-1])]
    return jnp.stack(y).reshape(*x_BSH.shape[:2], -1)
