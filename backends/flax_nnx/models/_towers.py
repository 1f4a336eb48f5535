"""What twins of models of an image and a text share: a tower for each, which is the twin of its own architecture.

Shapes: B batch, F features of a tower, D any width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array, lax

from weighbridge.backends.flax_nnx import layers, models
from weighbridge.bench.core import WeighbridgeError

SHORTEST = 1e-12
"""A length is divided by no less, as `torch.nn.functional.normalize` has it."""
SAID = {"architecture", "config", "width"}
"""What a configuration says of a tower, no more and no less."""


def unit(x_BD: Array) -> Array:
    """Of length 1, which is taken in float32 or wider, as norms are."""
    wide = layers.at_least_float32(x_BD)
    return (wide / jnp.maximum(jnp.linalg.norm(wide, axis=-1, keepdims=True), SHORTEST)).astype(x_BD.dtype)


@dataclass(frozen=True, kw_only=True)
class TowersConfig:
    """What every model with towers is told; `locked` names those that keep their weights in training."""

    image: Mapping[str, Any]
    text: Mapping[str, Any]
    locked: Sequence[str] = ()

    def __post_init__(self) -> None:
        for option in ("image", "text"):
            if (said := getattr(self, option).keys()) != SAID:
                there = ", ".join(sorted(said)) or "nothing"
                raise WeighbridgeError(f"{option} has {', '.join(sorted(SAID))}, not {there}")
        if unknown := sorted(set(self.locked) - {"image", "text"}):
            raise WeighbridgeError(f"locked is of image and text, not {', '.join(unknown)}")


class Towers(nnx.Module):
    """`image` and `text`, each `{"architecture": ..., "config": {...}, "width": F}`; `width` is what it gives."""

    def __init__(self, c: TowersConfig, rngs: nnx.Rngs) -> None:
        twins = [models.twin(said["architecture"]) for said in (c.image, c.text)]
        self.image, self.text = (
            twin.build(said["config"], rngs) for twin, said in zip(twins, (c.image, c.text), strict=True)
        )
        self.forwards = tuple(twin.forward for twin in twins)
        self.locked = tuple(c.locked)

    def features(self, inputs: dict[str, Array]) -> tuple[Array, Array]:
        """(B, F) of each: a tower's only output. That of BERT has length 1, and was widened for it."""
        image, text = (run(tower, inputs) for run, tower in zip(self.forwards, (self.image, self.text), strict=True))
        (image_BF,), (text_BF,) = image.values(), text.values()
        image_BF = lax.stop_gradient(image_BF) if "image" in self.locked else image_BF
        text_BF = lax.stop_gradient(text_BF) if "text" in self.locked else text_BF
        return image_BF, text_BF.astype(image_BF.dtype)


def max_pooled_image(model: Any) -> None:
    model.image.global_pool = lambda x_BHWC: jnp.max(x_BHWC, (1, 2))


def padding_in_the_mean(model: Any) -> None:
    def forward(bert: Any, inputs: dict[str, Array]) -> dict[str, Array]:
        return {"embedding": unit(jnp.mean(bert(inputs["input_ids"], inputs["attention_mask"]), 1))}

    model.forwards = (model.forwards[0], forward)


def first_token(model: Any) -> None:
    def forward(bert: Any, inputs: dict[str, Array]) -> dict[str, Array]:
        return {"embedding": unit(bert(inputs["input_ids"], inputs["attention_mask"])[:, 0])}

    model.forwards = (model.forwards[0], forward)


def tanh_gelu_in_the_text(model: Any) -> None:
    for layer in model.text.encoder.layer:
        layer.intermediate.activation = layers.gelu_tanh


TOWERS_MUTANTS: dict[str, Callable[[Any], None]] = {
    "maximum over the image in place of the mean": max_pooled_image,
    "padding counts in the mean over the text": padding_in_the_mean,
    "first token in place of the mean": first_token,
    "GELU by tanh in the text tower": tanh_gelu_in_the_text,
}
"""Mistakes with a ResNet and a BERT, each put into a loaded twin."""
