"""BERT as a sentence encoder.

Shapes: B batch, S positions, D hidden.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

LIBRARY = "transformers.models.bert.modeling_bert"


def build(config: dict[str, Any]) -> nn.Module:
    """`config` is transformers' own."""
    from transformers import BertConfig, BertModel

    # PyTorch's own fused attention, said outright: transformers chooses by what is installed
    whole: dict[str, Any] = {**config, "attn_implementation": "sdpa"}
    return BertModel(BertConfig(**whole), add_pooling_layer=False)


def forward(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`input_ids`, `attention_mask` (B, S) to `embedding` (B, D): the mean over the mask, then unit length.

    That is what sentence-transformers does after BERT.
    """
    mask_BS = inputs["attention_mask"]
    x_BSD = module(input_ids=inputs["input_ids"], attention_mask=mask_BS).last_hidden_state
    mask_BS1 = mask_BS[..., None].to(x_BSD.dtype)
    mean_BD = (x_BSD * mask_BS1).sum(1) / mask_BS1.sum(1).clamp(min=1e-9)
    return {"embedding": nn.functional.normalize(mean_BD, dim=-1, eps=1e-12)}
