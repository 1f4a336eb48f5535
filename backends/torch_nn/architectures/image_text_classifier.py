"""A class of an image and a text together: features of two towers side by side, and a head of two layers.

Each tower's features have a norm of their own: BERT's embedding has length 1 and a ResNet's some ten times that, and
the head would hear the image alone.

Shapes: B batch, F features of a tower or of both, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from weighbridge.backends.torch_nn.architectures._towers import LIBRARY, Towers

__all__ = ["LIBRARY", "ImageTextClassifier", "build", "forward"]


class ImageTextClassifier(Towers):
    """The image's features come first. Nothing is dropped in the head."""

    def __init__(
        self,
        image: dict[str, Any],
        text: dict[str, Any],
        hidden: int,
        num_classes: int,
        locked: Sequence[str] = (),
    ) -> None:
        super().__init__(image, text, locked)
        self.image_norm, self.text_norm = nn.LayerNorm(image["width"]), nn.LayerNorm(text["width"])
        self.fc1 = nn.Linear(image["width"] + text["width"], hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, num_classes)

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        image_BF, text_BF = self.features(inputs)
        both_BF = torch.cat([self.image_norm(image_BF), self.text_norm(text_BF)], dim=-1)
        return {"logits": self.fc2(self.act(self.fc1(both_BF)))}


def build(config: dict[str, Any]) -> nn.Module:
    """`config` are the arguments of `ImageTextClassifier`."""
    return ImageTextClassifier(**config)


def forward(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`image` (B, H, W, C), `input_ids` and `attention_mask` (B, S) to `logits` (B, C)."""
    return module(inputs)
