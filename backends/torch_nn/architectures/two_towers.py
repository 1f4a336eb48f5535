"""Two towers that recommend: a query, known by the items it already has, beside every item.

The query's tower takes the mean of its items' rows and, where there are any, features of the query itself. Rows are
drawn small, so that a mean of thirty of them and a single one start at figures that the same steps can turn.

Shapes: B rows, T positions of a history, F features, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from weighbridge.bench.core import WeighbridgeError

LIBRARY = "torch"
PADDING = 0
"""The id that fills up a history; items are numbered from 1."""
ROW_SCALE = 0.05
"""Standard deviation of rows before training."""
ACTIVATIONS = {"gelu": nn.functional.gelu, "relu": nn.functional.relu, "silu": nn.functional.silu}


class Tower(nn.Module):
    """Hidden layers of linear, optional LayerNorm and activation, then a linear head; without any, what comes in."""

    def __init__(self, fan_in: int, hidden: Sequence[int], width: int, activation: str, layer_norm: bool) -> None:
        super().__init__()
        widths = [fan_in, *hidden]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths, hidden, strict=False))
        self.norms = nn.ModuleList(nn.LayerNorm(each) for each in hidden if layer_norm)
        self.head = nn.Linear(widths[-1], width) if hidden else nn.Identity()
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            x = layer(x)
            x = self.activation(self.norms[index](x) if len(self.norms) else x)
        return self.head(x)


class TwoTowers(nn.Module):
    """`ids` counts the padding, too; both towers end in `width`. What a query says is divided by `temperature`."""

    def __init__(
        self,
        ids: int,
        width: int,
        query_hidden: Sequence[int] = (),
        item_hidden: Sequence[int] = (),
        features: int = 0,
        shared_table: bool = False,
        activation: str = "gelu",
        layer_norm: bool = False,
        unit_length: bool = True,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        if features and not query_hidden:
            raise WeighbridgeError("features need a query_hidden to meet the history in")
        self.query_embedding = _table(ids, width)
        self.item_embedding = None if shared_table else _table(ids, width)
        self.query_tower = Tower(width + features, query_hidden, width, activation, layer_norm)
        self.item_tower = Tower(width, item_hidden, width, activation, layer_norm)
        self.unit_length, self.temperature = unit_length, temperature

    def forward(self, history_BT: Tensor, item_B: Tensor, features_BF: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.query(history_BT, features_BF), self.item(item_B)

    def query(self, history_BT: Tensor, features_BF: Tensor | None) -> Tensor:
        known_BT1 = (history_BT != PADDING)[..., None].to(self.query_embedding.weight.dtype)
        total_BD = (self.query_embedding(history_BT) * known_BT1).sum(1)
        x_BD = total_BD / known_BT1.sum(1).clamp(min=1)
        x = x_BD if features_BF is None else torch.cat([x_BD, features_BF], -1)
        return self.scaled(self.query_tower(x)) / self.temperature

    def item(self, item_B: Tensor) -> Tensor:
        table = self.query_embedding if self.item_embedding is None else self.item_embedding
        return self.scaled(self.item_tower(table(item_B)))

    def scaled(self, x_BD: Tensor) -> Tensor:
        return nn.functional.normalize(x_BD, dim=-1, eps=1e-12) if self.unit_length else x_BD


def _table(ids: int, width: int) -> nn.Embedding:
    table = nn.Embedding(ids, width)
    nn.init.normal_(table.weight, std=ROW_SCALE)
    return table


def build(config: dict[str, Any]) -> nn.Module:
    """`config` are the arguments of `TwoTowers`."""
    return TwoTowers(**config)


def forward(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`history` (B, T), `item` (B,) and, where there are any, `features` (B, F) to `query` and `item` (B, D)."""
    query_BD, item_BD = module(inputs["history"], inputs["item"], inputs.get("features"))
    return {"query": query_BD, "item": item_BD}
