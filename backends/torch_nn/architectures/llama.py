"""Llama, a decoder."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

LIBRARY = "transformers.models.llama.modeling_llama"


def build(config: dict[str, Any]) -> nn.Module:
    """`config` is transformers' own. Not filled with random numbers, which takes seconds: who builds it loads it."""
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.initialization import no_init_weights

    # PyTorch's own fused attention, said outright: transformers chooses by what is installed
    whole: dict[str, Any] = {**config, "attn_implementation": "sdpa"}
    with no_init_weights():
        module = LlamaForCausalLM(LlamaConfig(**whole))
    module.tie_weights()
    return module


def forward(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`input_ids` (B, S) to `logits` (B, S, vocabulary)."""
    return {"logits": module(input_ids=inputs["input_ids"], use_cache=False).logits}
