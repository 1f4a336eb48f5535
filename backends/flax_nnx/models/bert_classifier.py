"""Twin of `transformers.BertForSequenceClassification`: BERT's body, a pooler of the first token, a linear head.

Shapes: B batch, S positions, H hidden, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array

from backends.flax_nnx import layers
from backends.flax_nnx.models import bert, settings


@dataclass(frozen=True, kw_only=True)
class Config(bert.Config):
    """BERT's, and how many classes there are."""

    num_labels: int = 2


class Pooler(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.dense = layers.Linear(c.hidden_size, c.hidden_size, rngs=rngs)

    def __call__(self, x_BSH: Array) -> Array:
        return jnp.tanh(self.dense(x_BSH[:, 0]))


class Body(bert.Bert):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        super().__init__(c, rngs)
        self.pooler = Pooler(c, rngs)


class Classifier(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.bert = Body(c, rngs)
        self.classifier = layers.Linear(c.hidden_size, c.num_labels, rngs=rngs)

    def __call__(self, ids_BS: Array, mask_BS: Array) -> Array:
        return self.classifier(self.bert.pooler(self.bert(ids_BS, mask_BS)))


def build(config: dict[str, Any], rngs: nnx.Rngs) -> Classifier:
    return Classifier(settings(Config, config, bert.IDLE), rngs)


def forward(module: Classifier, inputs: dict[str, Array]) -> dict[str, Array]:
    """input_ids and attention_mask (B, S) -> logits (B, C)."""
    return {"logits": module(inputs["input_ids"], inputs["attention_mask"])}
