"""Twin of `transformers.GPT2LMHeadModel`, with greedy decoding as two programs: `prefill` and `decode`.

Its cache is Llama's, and `prepare` lays projections as there. Positions are rows of a table, which ends: longer inputs
are refused, and what is decoded beyond its end is NaN, since how many tokens are asked for is data.

Shapes: B batch, S query positions, T cache positions, H hidden, N heads, D head width, O outputs of a projection,
V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from backends.flax_nnx import layers
from backends.flax_nnx.models import settings
from backends.flax_nnx.models.llama import Cache, Past, Step, grow
from backends.flax_nnx.rows import Projecting, by_rows
from bench.core import Cell, WeighbridgeError

__all__ = ["MUTANTS", "Cache", "Config", "Past", "build", "decode", "forward", "grow", "prefill", "prepare"]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": layers.gelu,
    "gelu_fast": layers.gelu_tanh,
    "gelu_new": layers.gelu_tanh,
    "gelu_pytorch_tanh": layers.gelu_tanh,
    "relu": layers.relu,
    "silu": layers.silu,
    "swish": layers.silu,
    "tanh": jnp.tanh,
}

IDLE = frozenset(
    {
        "_name_or_path",
        "_num_labels",
        "architectures",
        "attn_pdrop",
        "bos_token_id",
        "dtype",
        "embd_pdrop",
        "eos_token_id",
        "gradient_checkpointing",
        "id2label",
        "initializer_range",
        "label2id",
        "model_type",
        "n_ctx",
        "pad_token_id",
        "reorder_and_upcast_attn",
        "resid_pdrop",
        "summary_activation",
        "summary_first_dropout",
        "summary_proj_to_labels",
        "summary_type",
        "summary_use_proj",
        "task_specific_params",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)
"""Keys of a `config.json` that say nothing of a forward pass without dropout. `reorder_and_upcast_attn` asks for scores
in float32, which attention here has in any case; PyTorch's fused attention does not read it either."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """What of `GPT2Config` shapes the forward pass, with its defaults."""

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    add_cross_attention: bool = False
    tie_word_embeddings: bool = True

    def __post_init__(self) -> None:
        if self.activation_function not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise WeighbridgeError(f"the GPT-2 twin has activation_function {known}, not {self.activation_function}")
        if self.add_cross_attention:
            raise WeighbridgeError("the GPT-2 twin is a decoder alone: it has no add_cross_attention")
        if self.n_embd % self.n_head:
            raise WeighbridgeError(f"n_embd must be a multiple of n_head, and {self.n_embd} is none of {self.n_head}")

    @property
    def inner(self) -> int:
        return 4 * self.n_embd if self.n_inner is None else self.n_inner

    def gain(self, layer: int) -> float:
        """What queries are multiplied by, so that attention's own D^-0.5 makes the scale of this layer."""
        gain = 1.0 if self.scale_attn_weights else (self.n_embd // self.n_head) ** 0.5
        return gain / (layer + 1) if self.scale_attn_by_inverse_layer_idx else gain


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
        now = Past(k, v)
        if past is not None:
            pairs = zip(past, now, strict=True)
            now = Past(*(lax.dynamic_update_slice_in_dim(old, new, place.start, 1) for old, new in pairs))
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
    return {"logits": module.head(_read(module, inputs["input_ids"])[0])}


def prefill(module: GPT2, ids_BS: Array, room: int, wanted_B: Array | None = None) -> Step:
    """Prompts of one length -> the next token (B,), its logit (B,), and a cache with room for `room` positions."""
    x_BSH, past = _read(module, ids_BS)
    cache = Cache(jnp.array(ids_BS.shape[1], jnp.int32), past)
    return *_choose(module, x_BSH, wanted_B), grow(cache, room)


def decode(
    module: GPT2, token_B: Array, cache: Cache, count: Array, follow_BT: Array | None = None
) -> tuple[Array, Array, Array, Cache]:
    """`count` tokens that come after `token_B`, which is fed first: tokens and their logits, each (B, T) with nothing
    behind the first `count`; what is fed next; the cache.

    Greedy. With `follow_BT`, its tokens are fed in place of the likeliest, and the logits are theirs. How often it
    runs is data, so that one program serves every count that fits the cache's room.
    """
    batch, room = token_B.shape[0], cache.layers[0].keys.shape[1]
    kinds = (jnp.int32, layers.at_least_float32(module.transformer.wte.embedding[...]).dtype)
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


def _read(module: GPT2, ids_BS: Array) -> tuple[Array, tuple[Past, ...]]:
    """What comes of prompts, and the keys and values of just their positions."""
    return module.transformer(ids_BS, module.place(jnp.array(0, jnp.int32), ids_BS.shape[1], "causal"), None)


def _advance(module: GPT2, token_B: Array, cache: Cache, wanted_B: Array | None) -> Step:
    """Takes in one token a row; the next one, its logit, and the cache that now holds the first, too."""
    place = module.place(cache.length, 1, layers.Filled(cache.length + 1))
    x_BSH, past = module.transformer(token_B[:, None], place, cache.layers)
    return *_choose(module, x_BSH, wanted_B), Cache(cache.length + 1, past)


def _choose(module: GPT2, x_BSH: Array, wanted_B: Array | None) -> tuple[Array, Array]:
    """The likeliest token after the last position, and its logit, or that of the wanted one."""
    logits_BV = module.head(x_BSH[:, -1:])[:, 0]
    token_B = jnp.argmax(logits_BV, -1).astype(jnp.int32)
    if wanted_B is None:
        return token_B, jnp.max(logits_BV, -1)
    return token_B, jnp.take_along_axis(logits_BV, wanted_B[:, None], -1)[:, 0]


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
