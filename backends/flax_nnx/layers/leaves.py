"""What a layer says of its own leaves: how PyTorch calls them, and how it lays them.

The bridge asks the layer, so that a new one needs no entry anywhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, NamedTuple, Protocol, runtime_checkable

import numpy as np


class Leaf(NamedTuple):
    """PyTorch's name of a leaf, and for each of its axes there the axis here; no axes where both lay it alike."""

    name: str
    axes: tuple[int, ...] = ()

    def shape(self, ours: Sequence[int]) -> tuple[int, ...]:
        """PyTorch's shape of a leaf that has the shape `ours` here."""
        return tuple(ours[axis] for axis in self.axes) if self.axes else tuple(ours)

    def to_torch(self, value: np.ndarray) -> np.ndarray:
        """A copy as PyTorch lays it."""
        return np.array(np.transpose(value, self.axes) if self.axes else value, order="C")

    def from_torch(self, weight: np.ndarray) -> np.ndarray:
        """A view as it is laid here."""
        return np.transpose(weight, np.argsort(self.axes)) if self.axes else weight


Leaves = Mapping[str, Leaf]
"""By the name of the leaf here; one that is not named keeps its name and its layout."""

MATRIX = {"kernel": Leaf("weight", (1, 0))}
"""IO here, OI there."""
SCALED = {"scale": Leaf("weight")}
STATISTICS = {"mean": Leaf("running_mean"), "var": Leaf("running_var")}


@runtime_checkable
class Speaks(Protocol):
    """A layer that says how PyTorch has its leaves."""

    torch_leaves: ClassVar[Leaves]
