"""Llama: tied and untied heads, grouped queries, biases, a head width of its own."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.parity.case import Draw, case_of
from weighbridge.bench.core import Arrays

SMALL: dict[str, Any] = {
    "vocab_size": 83, "hidden_size": 36, "intermediate_size": 52, "num_hidden_layers": 2, "num_attention_heads": 6,
    "num_key_value_heads": 2, "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 300.0,
    "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip


def tokens(count: int, length: int) -> Draw:
    def draw(rng: np.random.Generator) -> Arrays:
        return {"input_ids": rng.integers(0, SMALL["vocab_size"], (count, length)).astype(np.int32)}

    return draw


CASES = {
    "llama": case_of("llama", tokens(5, 19), **SMALL),
    "llama-tied": case_of(
        "llama", tokens(3, 27), **{**SMALL, "tie_word_embeddings": True, "head_dim": 10, "num_key_value_heads": 6}
    ),
    "llama-biased": case_of(
        "llama", tokens(2, 31), **{**SMALL, "attention_bias": True, "mlp_bias": True, "num_key_value_heads": 1}
    ),
}
