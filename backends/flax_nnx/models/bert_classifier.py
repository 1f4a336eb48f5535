"""Twin of `transformers.BertForSequenceClassification`: BERT's body, a pooler of the first token, a linear head.

Shapes: B batch, S positions, H hidden, C classes.
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
from weighbridge.backends.flax_nnx.models import bert, settings


@dataclass(frozen=True, kw_only=True)
class Config(bert.Config):
    """BERT's, and how many classes there are."""

    num_labels: int = 2


class Pooler(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.dense = layers.Linear(c.hidden_size, c.hidden_size, rngs=rngs)
        self.activation: Callable[[Array], Array] = jnp.tanh

    def __call__(self, x_BSH: Array) -> Array:
        return self.activation(self.dense(x_BSH[:, 0]))


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


def _pooler_by_relu(module: Any) -> None:
    module.bert.pooler.activation = layers.relu


def _no_pooler(module: Any) -> None:
    dense = module.bert.pooler.dense
    dense.kernel.set_value(np.eye(dense.in_features, dtype=np.float32))
    dense.bias.set_value(np.zeros(dense.out_features, np.float32))
    module.bert.pooler.activation = lambda x_BH: x_BH


def _of_the_body(mistake: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda module: mistake(module.bert)


MUTANTS: dict[str, Callable[[Any], None]] = {
    **{name: _of_the_body(mistake) for name, mistake in bert.OF_THE_BODY.items()},
    "ReLU in the pooler": _pooler_by_relu,
    "no pooler": _no_pooler,
}
"""Mistakes that ports of it make, each put into a loaded module."""
