"""Twin of `transformers.LlamaForCausalLM`, decoded greedily (`_decoding`).

Decoding is bound by how fast weights stream from memory: `prepare` lays them as a CPU reads them fastest, by what
`backends.flax_nnx.rows` tells.

Shapes: B batch, S query positions, T cache positions, H hidden, N heads, K key-value heads, D head width,
O outputs of a projection, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import settings
from weighbridge.backends.flax_nnx.models._decoding import Past, decode, extended, grow, prefill, read
from weighbridge.backends.flax_nnx.models._llama_config import IDLE, Config
from weighbridge.backends.flax_nnx.rows import Projecting, by_rows
from weighbridge.bench.core import Cell

__all__ = ["MUTANTS", "Config", "build", "decode", "forward", "grow", "prefill", "prepare"]


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
        now = extended(past, Past(_turn(k, place), v), place.start)
        y_BSND = layers.attention(_turn(q, place), now.keys, now.values, place.seen)
        return self.project(y_BSND.reshape(*x_BSH.shape[:2], -1), "o_proj")[0], now


class MLP(Projecting):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__()
        self.gate_proj = layers.Linear(c.hidden_size, c.intermediate_size, c.mlp_bias, rngs=rngs)
        self.up_proj = layers.Linear(c.hidden_size, c.intermediate_size, c.mlp_bias, rngs=rngs)
        self.down_proj = layers.Linear(c.intermediate_size, c.hidden_size, c.mlp_bias, rngs=rngs)
        self.act_fn = layers.silu

    def __call__(self, x_BSH: Array) -> Array:
        gate, up = self.project(x_BSH, "gate_proj", "up_proj")
        return self.project(self.act_fn(gate) * up, "down_proj")[0]


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

    def body(self, ids_BS: Array, place: Place, past: tuple[Past, ...] | None) -> tuple[Array, tuple[Past, ...]]:
        return self.model(ids_BS, place, past)

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
    return {"logits": module.head(read(module, inputs["input_ids"])[0])}


def _turn(x_BSND: Array, place: Place) -> Array:
    """Rotary embedding in Llama's half-split order."""
    cos, sin = (part[None, :, None].astype(x_BSND.dtype) for part in (place.cos_SD, place.sin_SD))
    low, high = jnp.split(x_BSND, 2, -1)
    return x_BSND * cos + jnp.concatenate([-high, low], -1) * sin


def _pairs_side_by_side(module: Any) -> None:
    """As Meta's own files and GGUF lay a head: what turns together is one figure beside the other."""
    for attention in _attentions(module):
        for projection in (attention.q_proj, attention.k_proj):
            for leaf in (projection.kernel, projection.bias) if projection.bias is not None else (projection.kernel,):
                _reordered(leaf, (-1, 2, attention.head_width // 2), (0, 2, 1))


def _keys_dealt_out_in_turn(module: Any) -> None:
    """Key heads tiled, not repeated: query n meets key n modulo their number."""
    c = module.config
    groups = c.num_attention_heads // c.key_heads
    for attention in _attentions(module):
        split = (groups, c.key_heads, c.head_width)
        for leaf in (attention.q_proj.kernel, attention.q_proj.bias):
            if leaf is not None:
                _reordered(leaf, split, (1, 0, 2))
        kernel_OH = attention.o_proj.kernel.get_value()
        turned = kernel_OH.reshape(*split, -1).swapaxes(0, 1)
        attention.o_proj.kernel.set_value(turned.reshape(kernel_OH.shape))


def _everyone_sees_all(module: Any) -> None:
    place = module.place
    module.place = lambda start, count, seen: place(start, count, None)


def _flax_eps(module: Any) -> None:
    for _, part in nnx.iter_modules(module):
        if isinstance(part, layers.RMSNorm):
            part.epsilon = 1e-6


def _gelu(module: Any) -> None:
    for layer in module.model.layers:
        layer.mlp.act_fn = layers.gelu


def _gate_and_up_swapped(module: Any) -> None:
    for layer in module.model.layers:
        layer.mlp.gate_proj, layer.mlp.up_proj = layer.mlp.up_proj, layer.mlp.gate_proj


def _default_theta(module: Any) -> None:
    module.config = replace(module.config, rope_theta=10000.0, rope_parameters=None)


def _attentions(module: Any) -> list[Any]:
    return [layer.self_attn for layer in module.model.layers]


def _reordered(leaf: Any, split: tuple[int, ...], order: tuple[int, ...]) -> None:
    """The last axis, seen as several, in another order of these."""
    value = leaf.get_value()
    rest = value.ndim - 1
    axes = (*range(rest), *(rest + axis for axis in order))
    leaf.set_value(value.reshape(*value.shape[:-1], *split).transpose(axes).reshape(value.shape))


MUTANTS: dict[str, Callable[[Any], None]] = {
    "RoPE's pairs side by side": _pairs_side_by_side,
    "key heads dealt out in turn": _keys_dealt_out_in_turn,
    "no causal mask": _everyone_sees_all,
    "Flax's eps": _flax_eps,
    "GELU for SiLU": _gelu,
    "gate and up swapped": _gate_and_up_swapped,
    "RoPE's usual theta": _default_theta,
}
"""Mistakes that ports of Llama make; each changes a loaded module in place."""
