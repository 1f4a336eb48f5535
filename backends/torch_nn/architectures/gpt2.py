"""GPT-2, a decoder."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

LIBRARY = "transformers.models.gpt2.modeling_gpt2"


def build(config: dict[str, Any]) -> nn.Module:
    """`config` is transformers' own. Not filled with random numbers, which takes seconds: who builds it loads it."""
    from transformers import GPT2Config, GPT2LMHeadModel
    from transformers.initialization import no_init_weights

    # PyTorch's own fused attention, said outright: transformers chooses by what is installed
    whole: dict[str, Any] = {**config, "attn_implementation": "sdpa"}
    settings = GPT2Config(**whole)
    # what every later decoder says of its cache, and whoever makes one asks
    settings.update({"num_key_value_heads": settings.n_head, "head_dim": settings.n_embd // settings.n_head})
    with no_init_weights():
        module = GPT2LMHeadModel(settings)
    module.tie_weights()
    return module


def forward(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`input_ids` (B, S) to `logits` (B, S, vocabulary)."""
    return {"logits": module(input_ids=inputs["input_ids"], use_cache=False).logits}
