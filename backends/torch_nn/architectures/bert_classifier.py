"""BERT as people fine-tune it to classify texts: the first token's state through a pooler, then a linear head.

Shapes: B batch, S positions, C classes.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

LIBRARY = "transformers.models.bert.modeling_bert"


def build(config: dict[str, Any]) -> nn.Module:
    """`config` is transformers' own, with `num_labels`."""
    from transformers import BertConfig, BertForSequenceClassification

    # PyTorch's own fused attention, said outright: transformers chooses by what is installed
    whole: dict[str, Any] = {**config, "attn_implementation": "sdpa"}
    return BertForSequenceClassification(BertConfig(**whole))


def forward(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`input_ids`, `attention_mask` (B, S) to `logits` (B, C)."""
    return {"logits": module(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits}
