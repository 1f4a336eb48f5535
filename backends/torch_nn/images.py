"""What timm's image models share."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

LIBRARY = "timm"


def build(config: dict[str, Any]) -> nn.Module:
    """The model that timm knows as `name`; the rest are its arguments."""
    import timm

    rest = {key: value for key, value in config.items() if key != "name"}
    return timm.create_model(config["name"], pretrained=False, **rest)


def classify(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`image` (B, H, W, C), float, to `logits` (B, classes). NHWC seen as NCHW is channels_last, at no cost."""
    return {"logits": module(inputs["image"].permute(0, 3, 1, 2))}
