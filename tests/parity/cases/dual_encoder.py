"""An image tower and a text tower in one space."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.parity.case import Draw, case_of, image, sentences
from weighbridge.bench.core import Arrays

TEXT: dict[str, Any] = {
    "architecture": "bert",
    "config": {
        "vocab_size": 99, "hidden_size": 36, "num_attention_heads": 3, "intermediate_size": 50, "num_hidden_layers": 2,
    },
    "width": 36,
}  # fmt: skip


def both(size: tuple[int, int, int], count: int, length: int) -> Draw:
    def draw(rng: np.random.Generator) -> Arrays:
        return image(count, *size)(rng) | sentences(count, length)(rng)

    return draw


def tower(architecture: str, name: str, width: int, **config: Any) -> dict[str, Any]:
    return {"architecture": architecture, "config": {"name": name, "num_classes": 0, **config}, "width": width}


RESNET = tower("resnet", "resnet10t", 40, channels=(8, 16, 24, 40))
GREY = tower("resnet", "resnet26d", 72, layers=(1, 1, 1, 1), channels=(8, 16, 24, 18), in_chans=1)
VIT = tower("vit", "vit_tiny_patch16_224", 42, img_size=[27, 45], patch_size=9, embed_dim=42, num_heads=6, depth=2)
GAP = tower(
    "vit", "vit_medium_patch16_reg4_gap_256", 30, img_size=[33, 24], patch_size=[11, 6], embed_dim=30, num_heads=5,
    depth=1, reg_tokens=2,
)  # fmt: skip
CASES = {
    "dual-encoder": case_of("dual_encoder", both((43, 38, 3), 7, 11), image=RESNET, text=TEXT, projection_dim=21),
    "dual-encoder-locked": case_of(
        "dual_encoder", both((29, 45, 1), 5, 9), image=GREY, text=TEXT, projection_dim=80, locked=["text"]
    ),
    "dual-encoder-vit": case_of("dual_encoder", both((27, 45, 3), 6, 13), image=VIT, text=TEXT, projection_dim=33),
    "dual-encoder-gap": case_of("dual_encoder", both((33, 24, 3), 3, 5), image=GAP, text=TEXT, projection_dim=17),
}
