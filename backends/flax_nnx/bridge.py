"""Weights from PyTorch to a twin and back, strictly and bit for bit.

A twin's attribute names are the PyTorch module's names, so paths are equal and no architecture needs a mapping;
what differs is how a *layer* calls and lays out its leaves, and each layer says that itself (`layers.leaves`). Only
shapes are read from the twin, so an abstract one (`nnx.eval_shape`) loads without ever drawing random weights.
What is loaded stays on the host, as numpy's views: whoever opens the twin casts there, and places once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx

from weighbridge.backends.flax_nnx.layers import Leaf, Leaves, Speaks, Stacked
from weighbridge.backends.flax_nnx.layers.leaves import MATRIX, SCALED, STATISTICS
from weighbridge.bench.core import Arrays, WeighbridgeError

FLAXS_OWN: dict[type[nnx.Module], Leaves] = {
    nnx.Linear: MATRIX,
    nnx.LayerNorm: SCALED,
    nnx.RMSNorm: SCALED,
    nnx.GroupNorm: SCALED,
    nnx.BatchNorm: {**SCALED, **STATISTICS},
    nnx.Embed: {"embedding": Leaf("weight")},
}
"""For layers that know nothing of PyTorch, in twins that use Flax's own."""

_DROPPED = ("num_batches_tracked",)
"""PyTorch leaves that no twin has: counters that inference and a constant momentum never read."""

Path = tuple[Any, ...]


@dataclass(frozen=True)
class _Slot:
    """Where weights live in a twin: one, or as many as there are members of a stack."""

    variable: nnx.Variable[Any]
    leaf: Leaf
    names: tuple[str, ...]
    stacked: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """Of each, as PyTorch has it."""
        return self.leaf.shape(self.variable.shape[1:] if self.stacked else self.variable.shape)

    def put(self, weights: Arrays) -> None:
        found = [self.leaf.from_torch(weights[name]) for name in self.names]
        self.variable.set_value(np.stack(found) if self.stacked else found[0])

    def get(self) -> Iterator[tuple[str, np.ndarray]]:
        value = np.asarray(self.variable.get_value())
        for name, each in zip(self.names, value if self.stacked else [value], strict=True):
            yield name, self.leaf.to_torch(each)


def load(module: nnx.Module, weights: Arrays) -> None:
    """Puts `weights`, with PyTorch's names and layouts, into the twin; refuses what does not fit exactly."""
    slots = _slots(module)
    shapes = {name: slot.shape for slot in slots for name in slot.names}
    given = {name: weight for name, weight in weights.items() if name.rpartition(".")[2] not in _DROPPED}
    _refuse("the weights lack {}, which the twin has", shapes.keys() - given.keys())
    _refuse("the twin lacks {}, which the weights hold", given.keys() - shapes.keys())
    wrong = (name for name, shape in shapes.items() if shape != given[name].shape)
    _refuse("shapes differ: {}", (f"{name} is {given[name].shape}, the twin has {shapes[name]}" for name in wrong))
    for slot in slots:
        slot.put(given)


def export(module: nnx.Module) -> Arrays:
    """The twin's weights under PyTorch's names, in PyTorch's layouts."""
    return {name: value for slot in _slots(module) for name, value in slot.get()}


def _slots(module: nnx.Module) -> list[_Slot]:
    """One for every parameter and statistic; what is shared is met once."""
    parts = [(tuple(path), part) for path, part in nnx.iter_modules(module)]
    stacks = {path: part for path, part in parts if isinstance(part, Stacked)}
    return [
        _slot(path, variable, _said(part).get(leaf, Leaf(leaf)), stacks)
        for path, part in parts
        for leaf, variable in vars(part).items()
        if isinstance(variable, nnx.Param | nnx.BatchStat)
    ]


def _slot(path: Path, variable: nnx.Variable[Any], leaf: Leaf, stacks: dict[Path, Stacked]) -> _Slot:
    """A leaf below a stack's `member` is PyTorch's of each of its members."""
    for above, stack in stacks.items():
        if path[: len(above)] == above:
            rest = path[len(above) + 1 :]
            names = tuple(_name((*above, index, *rest, leaf.name)) for index in range(stack.count))
            return _Slot(variable, leaf, names, stacked=True)
    return _Slot(variable, leaf, (_name((*path, leaf.name)),), stacked=False)


def _said(part: nnx.Module) -> Leaves:
    if isinstance(part, Speaks):
        return part.torch_leaves
    return next((leaves for kind, leaves in FLAXS_OWN.items() if isinstance(part, kind)), {})


def _name(path: Path) -> str:
    return ".".join(map(str, path))


def _refuse(message: str, names: Iterable[str]) -> None:
    if found := sorted(names):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise WeighbridgeError(message.format(", ".join(found[:3]) + more))
