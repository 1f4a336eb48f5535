"""Twin of `transformers.LlamaForCausalLM`, with greedy decoding as two programs: `prefill` and `decode`.

Decoding is bound by how fast weights stream from memory: `prepare` lays them as a CPU reads them fastest, by what
`backends.flax_nnx.rows` tells. What is cached is one array a layer for keys and one for values, of a length that
is fixed while one program runs: `decode` takes as many steps as it is told, and `grow` gives the cache more room
between two of them, so that a token attends little that is not filled yet.

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
from backends.flax_nnx.rows import Projecting, by_rows
from bench.core import Cell, WeighbridgeError

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


Step = tuple[Array, Array, Cache]


class Place(NamedTuple):
    """What every layer must know of positions: the first one's index, rotary factors and who sees whom."""

    start: Array
    cos_SD: Array
    sin_SD: Array
    seen: layers.Seen


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
        y_BSND = layers.attention(_turn(q, place), now.keys, now.values, place.seen)
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

    def place(self, start: Array, count: int, seen: layers.Seen) -> Place:
        """Positions `start`, `start` + 1, ..."""
        width, theta = self.config.head_width, np.float32(self.config.theta)
        inverse = 1 / theta ** (np.arange(0, width, 2, dtype=np.float32) / np.float32(width))
        at_S = start + jnp.arange(count)
        angles_SD = at_S[:, None].astype(jnp.float32) * np.tile(inverse, 2)[None]
        return Place(start, jnp.cos(angles_SD), jnp.sin(angles_SD), seen)

    def head(self, x_BSH: Array) -> Array:
        """Logits in at least float32."""
        if self.config.tie_word_embeddings:
            return layers.at_least_float32(by_rows(x_BSH, self.model.embed_tokens.embedding[...]))
        return layers.at_least_float32(self.project(x_BSH, "lm_head")[0])


def build(config: dict[str, Any], rngs: nnx.Rngs) -> Llama:
    return Llama(settings(Config, config, IDLE), rngs)


def prepare(module: Llama, cell: Cell) -> list[str]:
    """Lays every projection, in place, as a CPU decodes fastest, and says what was done. Names are no longer PyTorch's
    after it."""
    if cell.scenario != "generate" or cell.device != "cpu":
        return []
    for layer in module.model.layers:
        layer.self_attn.join("q_proj", "k_proj", "v_proj")
        layer.self_attn.join("o_proj")
        layer.mlp.join("gate_proj", "up_proj")
        layer.mlp.join("down_proj")
    if not module.config.tie_word_embeddings:
        module.join("lm_head")
    return ["projections a row an output", "q, k and v joined", "gate and up joined"]


def forward(module: Llama, inputs: dict[str, Array]) -> dict[str, Array]:
    """input_ids (B, S) -> logits (B, S, V)."""
    return {"logits": module.head(_read(module, inputs["input_ids"])[0])}


def prefill(module: Llama, ids_BS: Array, room: int, wanted_B: Array | None = None) -> Step:
    """Prompts of one length -> the next token (B,), its logit (B,), and a cache with room for `room` positions."""
    x_BSH, past = _read(module, ids_BS)
    cache = Cache(jnp.array(ids_BS.shape[1], jnp.int32), past)
    return *_choose(module, x_BSH, wanted_B), grow(cache, room)


def grow(cache: Cache, room: int) -> Cache:
    """The same cache with room for `room` positions."""

    def longer(x_BTKD: Array) -> Array:
        return jnp.pad(x_BTKD, ((0, 0), (0, room - x_BTKD.shape[1]), (0, 0), (0, 0)))

    return Cache(cache.length, tuple(Past(longer(past.keys), longer(past.values)) for past in cache.layers))


def decode(
    module: Llama, token_B: Array, cache: Cache, count: Array, follow_BT: Array | None = None
) -> tuple[Array, Array, Array, Cache]:
    """`count` tokens that come after `token_B`, which is fed first: tokens and their logits, each (B, T) with nothing
    behind the first `count`; what is fed next; the cache.

    Greedy. With `follow_BT`, its tokens are fed in place of the likeliest, and the logits are theirs. How often it
    runs is data, so that one program serves every count that fits the cache's room.
    """
    batch, room = token_B.shape[0], cache.layers[0].keys.shape[1]
    kinds = (jnp.int32, layers.at_least_float32(module.model.embed_tokens.embedding[...]).dtype)
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


def _read(module: Llama, ids_BS: Array) -> tuple[Array, tuple[Past, ...]]:
    """What comes of prompts, and the keys and values of just their positions."""
    return module.model(ids_BS, module.place(jnp.array(0, jnp.int32), ids_BS.shape[1], "causal"), None)


def _advance(module: Llama, token_B: Array, cache: Cache, wanted_B: Array | None) -> Step:
    """Takes in one token a row; the next one, its logit, and the cache that now holds the first, too."""
    place = module.place(cache.length, 1, layers.Filled(cache.length + 1))
    x_BSH, past = module.model(token_B[:, None], place, cache.layers)
    return *_choose(module, x_BSH, wanted_B), Cache(cache.length + 1, past)


def _choose(module: Llama, x_BSH: Array, wanted_B: Array | None) -> tuple[Array, Array]:
    """The likeliest token after the last position, and its logit, or that of the wanted one."""
    logits_BV = module.head(x_BSH[:, -1:])[:, 0]
    token_B = jnp.argmax(logits_BV, -1).astype(jnp.int32)
    if wanted_B is None:
        return token_B, jnp.max(logits_BV, -1)
    return token_B, jnp.take_along_axis(logits_BV, wanted_B[:, None], -1)[:, 0]


def _turn(x_BSND: Array, place: Place) -> Array:
    """Rotary embedding in Llama's half-split order."""
    cos, sin = (part[None, :, None].astype(x_BSND.dtype) for part in (place.cos_SD, place.sin_SD))
    low, high = jnp.split(x_BSND, 2, -1)
    return x_BSND * cos + jnp.concatenate([-high, low], -1) * sin
