"""What models of an image and a text share: a tower for each, any architecture that there is.

Shapes: B batch, F features of a tower.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from weighbridge.backends.torch_nn import architectures

LIBRARY = "weighbridge.backends.torch_nn.architectures._libraries"
"""timm and transformers: towers come from both."""


class Towers(nn.Module):
    """`image` and `text`, each `{"architecture": ..., "config": {...}, "width": F}`; `width` is what it gives.

    Those that are named in `locked` keep their weights while the rest is trained.
    """

    def __init__(self, image: dict[str, Any], text: dict[str, Any], locked: Sequence[str]) -> None:
        super().__init__()
        sources = architectures.load(image["architecture"]), architectures.load(text["architecture"])
        self.image, self.text = (
            source.build(tower["config"]) for source, tower in zip(sources, (image, text), strict=True)
        )
        self.forwards = [source.forward for source in sources]
        for name in locked:
            self.get_submodule(name).requires_grad_(False)

    def features(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """(B, F) of each: a tower's only output. That of BERT has length 1."""
        image, text = (run(tower, inputs) for run, tower in zip(self.forwards, (self.image, self.text), strict=True))
        (image_BF,), (text_BF,) = image.values(), text.values()
        return image_BF, text_BF
