"""GPT-2: tied and untied heads, other widths of the MLP, and every scale of attention."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.parity.case import Draw, case_of
from weighbridge.bench.core import Arrays

SMALL: dict[str, Any] = {
    "vocab_size": 101, "n_positions": 40, "n_embd": 48, "n_layer": 3, "n_head": 4,
    "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip


def tokens(count: int, length: int) -> Draw:
    def draw(rng: np.random.Generator) -> Arrays:
        return {"input_ids": rng.integers(0, SMALL["vocab_size"], (count, length)).astype(np.int32)}

    return draw


INVERSE = {**SMALL, "n_layer": 4, "scale_attn_by_inverse_layer_idx": True}
UNTIED = {**SMALL, "n_inner": 70, "tie_word_embeddings": False}
CASES = {
    "gpt2": case_of("gpt2", tokens(5, 23), **SMALL),
    "gpt2-untied": case_of("gpt2", tokens(3, 40), activation_function="gelu", layer_norm_epsilon=1e-6, **UNTIED),
    "gpt2-inverse": case_of("gpt2", tokens(2, 31), **INVERSE),
    "gpt2-unscaled": case_of("gpt2", tokens(7, 9), scale_attn_weights=False, activation_function="relu", **INVERSE),
    "gpt2-one-token": case_of("gpt2", tokens(9, 1), **SMALL | {"n_embd": 27, "n_head": 3, "n_layer": 1}),
}
WHERE = {"inverse layer index from 0": "gpt2-inverse", "inverse layer index left out": "gpt2-inverse"}
