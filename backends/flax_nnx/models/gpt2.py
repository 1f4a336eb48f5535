"""Twin of `transformers.GPT2LMHeadModel`, decoded greedily (`_decoding`).

`prepare` lays projections as Llama's does. Positions are rows of a table, which ends: longer inputs
are refused, and what is decoded beyond its end is NaN, since how many tokens are asked for is data.

Shapes: B batch, S query positions, T cache positions, H hidden, N heads, D head width, O outputs of a projection,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import settings
from weighbridge.backends.flax_nnx.models._decoding import Past, decode, extended, grow, prefill, read
from weighbridge.backends.flax_nnx.models._gpt2_config import ACTIVATIONS, IDLE, Config
from weighbridge.backends.flax_nnx.rows import Projecting, by_rows
from weighbridge.bench.core import Cell, WeighbridgeError

__all__ = ["ACTIVATIONS", "MUTANTS", "Config", "build", "decode", "forward", "grow", "prefill", "prepare"]


class Place(NamedTuple):
    """What every layer must know of positions: the first one's index, and who sees whom."""

    start: Array
    seen: layers.Seen


class Attention(Projecting):
    def __init__(self, c: Config, layer: int, rngs: nnx.Rngs) -> None:
        super().__init__()
        self.c_attn = layers.Conv1D(3 * c.n_embd, c.n_embd, rngs=rngs)
        self.c_proj = layers.Conv1D(c.n_embd, c.n_embd, rngs=rngs)
        self.heads, self.gain = c.n_head, c.gain(layer)

    def __call__(self, x_BSH: Array, place: Place, past: Past | None) -> tuple[Array, Past]:
        shape = (*x_BSH.shape[:2], self.heads, -1)
        q, k, v = (part.reshape(shape) for part in jnp.split(self.project(x_BSH, "c_attn")[0], 3, -1))
        now = extended(past, Past(k, v), place.start)
        y_BSND = layers.attention(q * self.gain, now.keys, now.values, place.seen)
        return self.project(y_BSND.reshape(x_BSH.shape), "c_proj")[0], now


class MLP(Projecting):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__()
        self.c_fc = layers.Conv1D(c.inner, c.n_embd, rngs=rngs)
        self.c_proj = layers.Conv1D(c.n_embd, c.inner, rngs=rngs)
        self.act = ACTIVATIONS[c.activation_function]

    def __call__(self, x_BSH: Array) -> Array:
        return self.project(self.act(self.project(x_BSH, "c_fc")[0]), "c_proj")[0]


class Block(nnx.Module):
    def __init__(self, c: Config, layer: int, rngs: nnx.Rngs) -> None:
        self.ln_1 = layers.LayerNorm(c.n_embd, c.layer_norm_epsilon, rngs=rngs)
        self.attn = Attention(c, layer, rngs)
        self.ln_2 = layers.LayerNorm(c.n_embd, c.layer_norm_epsilon, rngs=rngs)
        self.mlp = MLP(c, rngs)

    def __call__(self, x_BSH: Array, place: Place, past: Past | None) -> tuple[Array, Past]:
        y_BSH, now = self.attn(self.ln_1(x_BSH), place, past)
        x_BSH = x_BSH + y_BSH
        return x_BSH + self.mlp(self.ln_2(x_BSH)), now


class Transformer(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.wte = layers.Embed(c.vocab_size, c.n_embd, rngs=rngs)
        self.wpe = layers.Embed(c.n_positions, c.n_embd, rngs=rngs)
        self.h = nnx.List([Block(c, layer, rngs) for layer in range(c.n_layer)])
        self.ln_f = layers.LayerNorm(c.n_embd, c.layer_norm_epsilon, rngs=rngs)

    def __call__(self, ids_BS: Array, place: Place, past: tuple[Past, ...] | None) -> tuple[Array, tuple[Past, ...]]:
        at_S = place.start + jnp.arange(ids_BS.shape[1], dtype=place.start.dtype)
        x_BSH, now = self.wte(ids_BS) + self.wpe(at_S)[None], list[Past]()
        for block, old in zip(self.h, past or (None,) * len(self.h), strict=True):
            x_BSH, kept = block(x_BSH, place, old)
            now.append(kept)
        return self.ln_f(x_BSH), tuple(now)


class GPT2(Projecting):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__()
        self.transformer = Transformer(c, rngs)
        if not c.tie_word_embeddings:
            self.lm_head = layers.Linear(c.n_embd, c.vocab_size, False, rngs=rngs)
        self.config = c

    def place(self, start: Array, count: int, seen: layers.Seen) -> Place:
        """Positions `start`, `start` + 1, ...; refuses more of them than there are."""
        if count > self.config.n_positions:
            raise WeighbridgeError(f"the model has n_positions {self.config.n_positions}, the input {count}")
        return Place(start, seen)

    def body(self, ids_BS: Array, place: Place, past: tuple[Past, ...] | None) -> tuple[Array, tuple[Past, ...]]:
        return self.transformer(ids_BS, place, past)

    def head(self, x_BSH: Array) -> Array:
        """Logits in at least float32."""
        if self.config.tie_word_embeddings:
            return layers.at_least_float32(by_rows(x_BSH, self.transformer.wte.embedding[...]))
        return layers.at_least_float32(self.project(x_BSH, "lm_head")[0])


def build(config: dict[str, Any], rngs: nnx.Rngs) -> GPT2:
    return GPT2(settings(Config, config, IDLE), rngs)


def prepare(module: GPT2, cell: Cell) -> list[str]:
    """Lays every projection, in place, as a CPU decodes fastest, and says what was done. Names are no longer PyTorch's
    after it."""
    if cell.scenario != "generate" or cell.device != "cpu":
        return []
    for block in module.transformer.h:
        block.attn.join("c_attn")
        block.attn.join("c_proj")
        block.mlp.join("c_fc")
        block.mlp.join("c_proj")
    if not module.config.tie_word_embeddings:
        module.join("lm_head")
    return ["projections a row an output"]


def forward(module: GPT2, inputs: dict[str, Array]) -> dict[str, Array]:
    """input_ids (B, S) -> logits (B, S, V)."""
    return {"logits": module.head(read(module, inputs["input_ids"])[0])}


def _exact_gelu(module: Any) -> None:
    for block in module.transformer.h:
        block.mlp.act = layers.gelu


def _flax_eps(module: Any) -> None:
    for norm in _norms(module):
        norm.epsilon = 1e-6


def _everyone_sees_all(module: Any) -> None:
    module.place = lambda start, count, seen: Place(start, None)


def _positions_from_one(module: Any) -> None:
    _change(module.transformer.wpe.embedding, lambda table_TH: np.roll(table_TH, -1, 0))


def _matrix_as_linear_has_it(module: Any) -> None:
    for block in module.transformer.h:
        _change(block.attn.c_proj.kernel, np.transpose)


def _split_a_head(module: Any) -> None:
    """As GPT-NeoX and Megatron lay it: each head's query, key and value beside each other."""
    for block in module.transformer.h:
        for leaf in (block.attn.c_attn.kernel, block.attn.c_attn.bias):
            _change(leaf, partial(_regrouped, heads=block.attn.heads))


def _regrouped(weight: np.ndarray, heads: int) -> np.ndarray:
    parts = weight.reshape(*weight.shape[:-1], heads, 3, -1)
    return np.swapaxes(parts, -3, -2).reshape(weight.shape)


def _unscaled(module: Any) -> None:
    c = module.config
    for block in module.transformer.h:
        block.attn.gain *= (c.n_embd // c.n_head) ** 0.5


def _layer_scale_from_the_second(module: Any) -> None:
    """Divides by the index of a layer in place of its number, and the first by nothing."""
    for layer, block in enumerate(module.transformer.h):
        block.attn.gain *= (layer + 1) / max(layer, 1)


def _layers_alike_in_scale(module: Any) -> None:
    for layer, block in enumerate(module.transformer.h):
        block.attn.gain *= layer + 1


def _norms(module: Any) -> Iterator[Any]:
    yield module.transformer.ln_f
    for block in module.transformer.h:
        yield from (block.ln_1, block.ln_2)


def _change(variable: Any, how: Callable[[np.ndarray], np.ndarray]) -> None:
    variable.set_value(how(np.asarray(variable.get_value())))


MUTANTS: dict[str, Callable[[Any], None]] = {
    "exact GELU": _exact_gelu,
    "Flax's eps": _flax_eps,
    "no causal mask": _everyone_sees_all,
    "positions from 1": _positions_from_one,
    "Conv1D read as Linear": _matrix_as_linear_has_it,
    "c_attn split a head": _split_a_head,
    "scores not scaled": _unscaled,
    "inverse layer index from 0": _layer_scale_from_the_second,
    "inverse layer index left out": _layers_alike_in_scale,
}
"""Mistakes that ports of GPT-2 make; each changes a loaded module in place."""
