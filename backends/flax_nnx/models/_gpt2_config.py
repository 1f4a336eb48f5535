"""What of `GPT2Config` the twin honours."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import jax.numpy as jnp
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.bench.core import WeighbridgeError

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
