"""PatchTST, a point forecaster of several channels at once.

Shapes: B batch, T time steps, C channels, L time steps ahead.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

LIBRARY = "transformers.models.patchtst.modeling_patchtst"


def build(config: dict[str, Any]) -> nn.Module:
    """`config` is transformers' own."""
    from transformers import PatchTSTConfig, PatchTSTForPrediction

    # PyTorch's own fused attention, said outright: transformers chooses by what is installed
    whole: dict[str, Any] = {**config, "attn_implementation": "sdpa"}
    return PatchTSTForPrediction(PatchTSTConfig(**whole))


def forward(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`past` (B, T, C), all of it observed, to `prediction` (B, L, C) at the level and scale of `past`."""
    return {"prediction": module(past_values=inputs["past"]).prediction_outputs}
