"""Twin of CLIP's and LiT's form: images and texts in one space, where a pair lies near.

The towers are the twins of their own architectures.

Shapes: B batch, F features of a tower, D width of the space.
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
from weighbridge.backends.flax_nnx.models._towers import TOWERS_MUTANTS, Towers, TowersConfig, unit


@dataclass(frozen=True, kw_only=True)
class Config(TowersConfig):
    """The reference's arguments."""

    projection_dim: int
    logit_scale_init: float = 2.6592


class DualEncoder(Towers):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__(c, rngs)
        self.image_projection = layers.Linear(c.image["width"], c.projection_dim, bias=False, rngs=rngs)
        self.text_projection = layers.Linear(c.text["width"], c.projection_dim, bias=False, rngs=rngs)
        self.unit = unit
        self.logit_scale = nnx.Param(jnp.array([c.logit_scale_init]))

    def __call__(self, inputs: dict[str, Array]) -> dict[str, Array]:
        image_BF, text_BF = self.features(inputs)
        return {
            "image": self.unit(self.image_projection(image_BF)),
            "text": self.unit(self.text_projection(text_BF)),
            "scale": jnp.broadcast_to(jnp.exp(self.logit_scale[...]), image_BF.shape[:1]),
        }


def build(config: dict[str, Any], rngs: nnx.Rngs) -> DualEncoder:
    return DualEncoder(settings(Config, config), rngs)


def forward(module: DualEncoder, inputs: dict[str, Array]) -> dict[str, Array]:
    """image (B, H, W, C), input_ids and attention_mask (B, S) -> image and text (B, D) of length 1, scale (B,)."""
    return module(inputs)


def _any_length(model: Any) -> None:
    model.unit = lambda x_BD: x_BD


def _scale_as_it_is(model: Any) -> None:
    model.logit_scale.set_value(np.log(np.abs(model.logit_scale.get_value())))


def _mean_of_squares(model: Any) -> None:
    model.unit = lambda x_BD: x_BD / jnp.sqrt(jnp.mean(jnp.square(x_BD), -1, keepdims=True))


def _length_over_the_batch(model: Any) -> None:
    model.unit = lambda x_BD: x_BD / jnp.linalg.norm(x_BD, axis=0, keepdims=True)


MUTANTS: dict[str, Callable[[Any], None]] = {
    "projections of any length": _any_length,
    "scale without exp": _scale_as_it_is,
    "divided by the root of the mean square": _mean_of_squares,
    "length over the batch": _length_over_the_batch,
    **TOWERS_MUTANTS,
}
"""Mistakes that ports of this architecture make, each put into a loaded twin."""
