"""Weights from PyTorch to a twin and back, strictly and bit for bit.

A twin's attribute names are the PyTorch module's names, so paths are equal and no architecture needs a mapping;
what differs is how a *layer* calls and lays out its leaves. Hence one table, keyed on the NNX module type. Only
shapes are read from the twin, so an abstract one (`nnx.eval_shape`) loads without ever drawing random weights.
What is loaded stays on the host, as numpy's views: whoever opens the twin casts there, and places once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from flax import nnx

from bench.core import Arrays, WeighbridgeError

_LEAVES: dict[type[nnx.Module], dict[str, str]] = {
    nnx.Linear: {"kernel": "weight"},
    nnx.Conv: {"kernel": "weight"},
    nnx.LayerNorm: {"scale": "weight"},
    nnx.RMSNorm: {"scale": "weight"},
    nnx.BatchNorm: {"scale": "weight", "mean": "running_mean", "var": "running_var"},
    nnx.Embed: {"embedding": "weight"},
}
"""Flax leaf -> PyTorch leaf; one that is not named here keeps its name."""

_DROPPED = ("num_batches_tracked",)
"""PyTorch leaves that no twin has: counters that inference and a constant momentum never read."""


@dataclass(frozen=True)
class _Slot:
    """Where one weight lives in a twin. A kernel is PyTorch's weight with outputs and inputs moved to the end."""

    variable: nnx.Variable[Any]
    is_kernel: bool

    @property
    def shape(self) -> tuple[int, ...]:
        """As PyTorch has it."""
        shape = tuple(self.variable.shape)
        return (shape[-1], shape[-2], *shape[:-2]) if self.is_kernel else shape

    def put(self, weight: np.ndarray) -> None:
        """OI -> IO for a matrix, OIHW -> HWIO for a convolution."""
        self.variable.set_value(np.moveaxis(weight, (1, 0), (-2, -1)) if self.is_kernel else weight)

    def get(self) -> np.ndarray:
        value = np.asarray(self.variable.get_value())
        return np.array(np.moveaxis(value, (-2, -1), (1, 0)) if self.is_kernel else value, order="C")


def load(module: nnx.Module, weights: Arrays) -> None:
    """Puts `weights`, with PyTorch's names and layouts, into the twin; refuses what does not fit exactly."""
    slots = _slots(module)
    given = {name: weight for name, weight in weights.items() if name.rpartition(".")[2] not in _DROPPED}
    _refuse("the weights lack {}, which the twin has", slots.keys() - given.keys())
    _refuse("the twin lacks {}, which the weights hold", given.keys() - slots.keys())
    wrong = (name for name, slot in slots.items() if slot.shape != given[name].shape)
    _refuse("shapes differ: {}", (f"{name} is {given[name].shape}, the twin has {slots[name].shape}" for name in wrong))
    for name, slot in slots.items():
        slot.put(given[name])


def export(module: nnx.Module) -> Arrays:
    """The twin's weights under PyTorch's names, in PyTorch's layouts."""
    return {name: slot.get() for name, slot in _slots(module).items()}


def _slots(module: nnx.Module) -> dict[str, _Slot]:
    """PyTorch name -> place, for every parameter and statistic; what is shared is met once."""
    return {
        ".".join(map(str, (*path, _torch_leaf(part, leaf)))): _Slot(variable, leaf == "kernel")
        for path, part in nnx.iter_modules(module)
        for leaf, variable in vars(part).items()
        if isinstance(variable, nnx.Param | nnx.BatchStat)
    }


def _torch_leaf(part: nnx.Module, leaf: str) -> str:
    return next((names.get(leaf, leaf) for kind, names in _LEAVES.items() if isinstance(part, kind)), leaf)


def _refuse(message: str, names: Iterable[str]) -> None:
    if found := sorted(names):
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise WeighbridgeError(message.format(", ".join(found[:3]) + more))
