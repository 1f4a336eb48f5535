"""A module taken apart: its graph, and its leaves as a flat list on the device, each as its kind is to be held.

A call that walks the module costs more than many a model does (docs/lab-notes.md), so it is taken apart once, when it
is opened, and put together again only while JAX traces. Programs are closed over the graph, which is never a key: one
that holds a `partial` or a dictionary differs between builds, or cannot be hashed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from weighbridge.bench.core import Cell

DTYPES = {"fp64": "float64", "bf16": "bfloat16", "fp16": "float16"}
"""Of weights and activations; whatever is not listed is float32."""


class Policy(NamedTuple):
    """The dtypes of trained weights, of running statistics, and of what is computed with them.

    Whatever else a module holds, such as streams, tables of indices and constants, keeps the dtype it was made in.
    """

    parameters: Any
    statistics: Any
    compute: Any

    @classmethod
    def of(cls, cell: Cell) -> Policy:
        """One dtype for all three, as `module.to(dtype)` of PyTorch has it."""
        dtype = jnp.dtype(DTYPES.get(cell.precision, "float32"))
        return cls(dtype, dtype, dtype)


class Placement:
    """Where leaves and batches lie: whole on one device; on several, a copy on each."""

    def __init__(self, devices: Sequence[Any]) -> None:
        self.devices = list(devices)
        mesh = jax.sharding.Mesh(np.array(self.devices), ("data",))
        several = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
        self.sharding = several if self.devices[1:] else jax.sharding.SingleDeviceSharding(self.devices[0])

    @property
    def platform(self) -> str:
        return self.devices[0].platform

    def put(self, value: Any, dtype: Any = None) -> Any:
        """Cast on the host and placed once: a device never holds float32 beside the half types."""
        given = value if dtype is None else np.asarray(value, dtype)
        return jax.device_put(given, self.sharding)


class Parts:
    """The parts of a module, and what was done to its weights before."""

    def __init__(self, module: Any, policy: Policy, placement: Placement, prepacked: Sequence[str] = ()) -> None:
        self.policy, self.placement, self.prepacked = policy, placement, list(prepacked)
        self.graph, *states = nnx.split(module, nnx.Param, nnx.BatchStat, ...)
        self.sizes, self.trees, self.leaves = list[int](), list[Any](), list[Any]()
        for state, dtype in zip(states, (policy.parameters, policy.statistics, None), strict=True):
            found, tree = jax.tree.flatten(state)
            self.leaves += [placement.put(leaf, dtype) for leaf in found]
            self.sizes.append(len(found))
            self.trees.append(tree)

    def module(self, leaves: Sequence[Any]) -> Any:
        """The module again, around traced leaves."""
        cuts = np.cumsum([0, *self.sizes])
        pairs = zip(self.trees, cuts[:-1], cuts[1:], strict=True)
        return nnx.merge(self.graph, *(jax.tree.unflatten(tree, leaves[begin:end]) for tree, begin, end in pairs))

    def leaves_of(self, module: Any) -> list[Any]:
        """The leaves of a module that `module` made, in the order of ours, with what a call changed in them."""
        _, *states = nnx.split(module, nnx.Param, nnx.BatchStat, ...)
        return jax.tree.leaves(states)
