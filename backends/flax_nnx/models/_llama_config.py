"""What of `LlamaConfig` the twin honours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from weighbridge.bench.core import WeighbridgeError

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
