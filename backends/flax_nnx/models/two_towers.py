"""Twin of `backends.torch_nn.architectures.two_towers`: a query by the items it already has, beside every item.

Shapes: B rows, T positions of a history, F features, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array, lax

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import settings
from weighbridge.bench.core import WeighbridgeError

PADDING = 0
"""The id that fills up a history; items are numbered from 1."""
ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"gelu": layers.gelu, "relu": layers.relu, "silu": layers.silu}


@dataclass(frozen=True, kw_only=True)
class Config:
    """The reference's arguments, with its defaults."""

    ids: int
    width: int
    query_hidden: Sequence[int] = ()
    item_hidden: Sequence[int] = ()
    features: int = 0
    shared_table: bool = False
    activation: str = "gelu"
    layer_norm: bool = False
    unit_length: bool = True
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise WeighbridgeError(f"the two towers' twin has no activation {self.activation!r}; it has {known}")
        if self.features and not self.query_hidden:
            raise WeighbridgeError("features need a query_hidden to meet the history in")


def identity(x: Array) -> Array:
    return x


class Tower(nnx.Module):
    def __init__(self, fan_in: int, hidden: Sequence[int], c: Config, rngs: nnx.Rngs) -> None:
        widths = [fan_in, *hidden]
        self.layers = nnx.List([layers.Linear(*pair, rngs=rngs) for pair in zip(widths, hidden, strict=False)])
        self.norms = nnx.List([layers.LayerNorm(width, rngs=rngs) for width in hidden if c.layer_norm])
        self.head = layers.Linear(widths[-1], c.width, rngs=rngs) if hidden else identity
        self.activation = ACTIVATIONS[c.activation]

    def __call__(self, x: Array) -> Array:
        for index, layer in enumerate(self.layers):
            x = layer(x)
            x = self.activation(self.norms[index](x) if self.norms else x)
        return self.head(x)


class TwoTowers(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.query_embedding = layers.Embed(c.ids, c.width, rngs=rngs)
        self.item_embedding = None if c.shared_table else layers.Embed(c.ids, c.width, rngs=rngs)
        self.query_tower = Tower(c.width + c.features, c.query_hidden, c, rngs)
        self.item_tower = Tower(c.width, c.item_hidden, c, rngs)
        self.unit_length, self.temperature, self.eps = c.unit_length, c.temperature, 1e-12

    def query(self, history_BT: Array, features_BF: Array | None) -> Array:
        x_BD = self.bag(history_BT)
        x = x_BD if features_BF is None else jnp.concatenate([x_BD, features_BF.astype(x_BD.dtype)], -1)
        return self.scaled(self.query_tower(x)) / self.temperature

    def bag(self, history_BT: Array) -> Array:
        """The mean of a history's rows; zeros of an empty one. -> (B, D)"""
        known_BT = self.known(history_BT)
        sum_BD = lax.platform_dependent(history_BT, known_BT, cpu=self._one_by_one, default=self._at_once)
        return sum_BD / jnp.maximum(jnp.sum(known_BT, 1, keepdims=True), 1).astype(sum_BD.dtype)

    def _at_once(self, history_BT: Array, known_BT: Array) -> Array:
        rows_BTD = self.query_embedding(history_BT)
        return jnp.sum(rows_BTD * known_BT[..., None].astype(rows_BTD.dtype), 1)

    def _one_by_one(self, history_BT: Array, known_BT: Array) -> Array:
        """XLA:CPU sums row after row in vectors, but over a gathered axis number by number (docs/lab-notes.md)."""

        def add(sum_BD: Array, position: tuple[Array, Array]) -> tuple[Array, None]:
            item_B, known_B = position
            rows_BD = layers.at_least_float32(self.query_embedding(item_B))
            return sum_BD + rows_BD * known_B[:, None].astype(rows_BD.dtype), None

        dtype = self.query_embedding.embedding[...].dtype
        nothing_BD = layers.at_least_float32(jnp.zeros((history_BT.shape[0], self.query_embedding.features), dtype))
        sum_BD, _ = lax.scan(add, nothing_BD, (history_BT.T, known_BT.T))
        return sum_BD.astype(dtype)

    def known(self, history_BT: Array) -> Array:
        """Which positions hold an item."""
        return history_BT != PADDING

    def item(self, item_B: Array) -> Array:
        table = self.query_embedding if self.item_embedding is None else self.item_embedding
        return self.scaled(self.item_tower(table(item_B)))

    def scaled(self, x_BD: Array) -> Array:
        """In at least float32, of length 1 where that is asked for."""
        wide_BD = layers.at_least_float32(x_BD)
        if not self.unit_length:
            return wide_BD
        return wide_BD / jnp.maximum(jnp.linalg.norm(wide_BD, axis=-1, keepdims=True), self.eps)


def build(config: dict[str, Any], rngs: nnx.Rngs) -> TwoTowers:
    return TwoTowers(settings(Config, config), rngs)


def forward(module: TwoTowers, inputs: dict[str, Array]) -> dict[str, Array]:
    """history (B, T), item (B,) and, where there are any, features (B, F) -> query and item (B, D)."""
    return {"query": module.query(inputs["history"], inputs.get("features")), "item": module.item(inputs["item"])}


def _padding_counts(module: Any) -> None:
    module.known = jnp.ones_like


def _divided_by_all_positions(module: Any) -> None:
    mean = module.bag

    def bag(history_BT: Array) -> Array:
        known_B1 = jnp.sum(history_BT != PADDING, 1, keepdims=True)
        return mean(history_BT) * (known_B1 / history_BT.shape[1])

    module.bag = bag


def _ids_from_zero(module: Any) -> None:
    """The row before an item's own: no row was kept for the padding."""
    for table in _tables(module):
        table.embedding.set_value(np.roll(table.embedding.get_value(), 1, 0))


def _towers_swapped(module: Any) -> None:
    module.query_tower, module.item_tower = module.item_tower, module.query_tower


def _tables_swapped(module: Any) -> None:
    module.query_embedding, module.item_embedding = module.item_embedding, module.query_embedding


def _tanh_gelu(module: Any) -> None:
    for tower in (module.query_tower, module.item_tower):
        tower.activation = layers.gelu_tanh


def _no_temperature(module: Any) -> None:
    module.temperature = 1.0


def _no_length(module: Any) -> None:
    module.unit_length = False


def _flax_eps(module: Any) -> None:
    for tower in (module.query_tower, module.item_tower):
        for norm in tower.norms:
            norm.epsilon = 1e-6


def _tables(module: Any) -> Iterator[Any]:
    yield module.query_embedding
    if module.item_embedding is not None:
        yield module.item_embedding


MUTANTS: dict[str, Callable[[Any], None]] = {
    "padding counts as an item": _padding_counts,
    "the mean over all positions": _divided_by_all_positions,
    "items numbered from 0": _ids_from_zero,
    "towers swapped": _towers_swapped,
    "tables swapped": _tables_swapped,
    "GELU by tanh": _tanh_gelu,
    "no temperature": _no_temperature,
    "no unit length": _no_length,
    "Flax's eps": _flax_eps,
}
"""Mistakes that ports of two towers make, each put into a loaded module."""
