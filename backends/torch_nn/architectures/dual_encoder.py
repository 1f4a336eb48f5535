"""CLIP and LiT: images and texts in one space, where a pair lies near. LiT locks a tower that was trained before.

Sources: Radford et al., ICML 2021; Zhai et al., LiT: Zero-shot transfer with locked-image text tuning, CVPR 2022.

Shapes: B batch, D width of the space.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from weighbridge.backends.torch_nn.architectures._towers import LIBRARY, Towers

__all__ = ["LIBRARY", "DualEncoder", "build", "forward"]


class DualEncoder(Towers):
    """Two towers, each projected without a bias to `projection_dim`; `logit_scale_init` is CLIP's ln(1 / 0.07)."""

    def __init__(
        self,
        image: dict[str, Any],
        text: dict[str, Any],
        projection_dim: int,
        logit_scale_init: float = 2.6592,
        locked: Sequence[str] = (),
    ) -> None:
        super().__init__(image, text, locked)
        self.image_projection = nn.Linear(image["width"], projection_dim, bias=False)
        self.text_projection = nn.Linear(text["width"], projection_dim, bias=False)
        # of one axis: weights that are drawn are arrays, and numpy draws no array without one
        self.logit_scale = nn.Parameter(torch.tensor([logit_scale_init]))

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        image_BF, text_BF = self.features(inputs)
        return {
            "image": functional.normalize(self.image_projection(image_BF), dim=-1, eps=1e-12),
            "text": functional.normalize(self.text_projection(text_BF), dim=-1, eps=1e-12),
            "scale": self.logit_scale.exp().expand(image_BF.shape[0]),
        }


def build(config: dict[str, Any]) -> nn.Module:
    """`config` are the arguments of `DualEncoder`."""
    return DualEncoder(**config)


def forward(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`image` (B, H, W, C), `input_ids` and `attention_mask` (B, S) to `image` and `text` (B, D), and `scale` (B,).

    `image` and `text` have length 1; `scale`, the same in every row, is what a loss multiplies their products by.
    """
    return module(inputs)
