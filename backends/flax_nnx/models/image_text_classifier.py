"""Twin of a classifier of an image and a text together: features of two towers side by side, a head of two layers.

The towers are the twins of their own architectures.

Shapes: B batch, F features of a tower or of both, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import settings
from weighbridge.backends.flax_nnx.models._towers import TOWERS_MUTANTS, Towers, TowersConfig

EPS = 1e-5
"""PyTorch's own; Flax's is 1e-6."""


@dataclass(frozen=True, kw_only=True)
class Config(TowersConfig):
    """The reference's arguments."""

    hidden: int
    num_classes: int


class ImageTextClassifier(Towers):
    """The image's features come first."""

    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__(c, rngs)
        self.image_norm = layers.LayerNorm(c.image["width"], EPS, rngs=rngs)
        self.text_norm = layers.LayerNorm(c.text["width"], EPS, rngs=rngs)
        self.fc1 = layers.Linear(c.image["width"] + c.text["width"], c.hidden, rngs=rngs)
        self.act = layers.gelu
        self.fc2 = layers.Linear(c.hidden, c.num_classes, rngs=rngs)

    def __call__(self, inputs: dict[str, Array]) -> dict[str, Array]:
        image_BF, text_BF = self.features(inputs)
        both_BF = jnp.concatenate([self.image_norm(image_BF), self.text_norm(text_BF)], axis=-1)
        return {"logits": self.fc2(self.act(self.fc1(both_BF)))}


def build(config: dict[str, Any], rngs: nnx.Rngs) -> ImageTextClassifier:
    return ImageTextClassifier(settings(Config, config), rngs)


def forward(module: ImageTextClassifier, inputs: dict[str, Array]) -> dict[str, Array]:
    """image (B, H, W, C), input_ids and attention_mask (B, S) -> logits (B, C)."""
    return module(inputs)


def _text_first(model: Any) -> None:
    width = model.text.embeddings.word_embeddings.features
    model.fc1.kernel.set_value(np.roll(model.fc1.kernel.get_value(), -width, axis=0))


def _tanh_gelu(model: Any) -> None:
    model.act = layers.gelu_tanh


def _flaxs_eps(model: Any) -> None:
    model.image_norm.epsilon = model.text_norm.epsilon = 1e-6


def _relu(model: Any) -> None:
    model.act = layers.relu


MUTANTS: dict[str, Callable[[Any], None]] = {
    "text before image": _text_first,
    "GELU by tanh in the head": _tanh_gelu,
    "ReLU in the head": _relu,
    "Flax's own eps": _flaxs_eps,
    **TOWERS_MUTANTS,
}
"""Mistakes that ports of this architecture make, each put into a loaded twin."""
