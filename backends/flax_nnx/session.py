"""What the scenarios share on the device: a module taken apart, programs compiled once a shape, and their footing."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np

from bench.core import Arrays, Cell, Cost, Session

DTYPES = {"fp64": "float64", "bf16": "bfloat16", "fp16": "float16"}
"""Of weights and activations; whatever is not listed is float32."""


class Parts:
    """A module taken apart: its graph, and its weights as a flat list on the device, at the cell's precision.

    They are cast on the host and placed once: a device never holds them in float32 beside the half types.
    """

    def __init__(self, module: Any, cell: Cell, device: Any, prepacked: list[str]) -> None:
        import jax
        import jax.numpy as jnp
        from flax import nnx

        self.device, self.dtype, self.prepacked = device, jnp.dtype(DTYPES.get(cell.precision, "float32")), prepacked
        self.graph, state = nnx.split(module)
        found, self.tree = jax.tree.flatten(state)
        self.leaves = [jax.device_put(np.asarray(leaf, self.dtype), device) for leaf in found]

    def module(self, leaves: list[Any]) -> Any:
        """The module again, around traced leaves."""
        import jax
        from flax import nnx

        return nnx.merge(self.graph, jax.tree.unflatten(self.tree, leaves))


class Placed(NamedTuple):
    """A batch on the device, and what its program is compiled for."""

    arrays: dict[str, Any]
    key: Hashable


class FlaxSession(Session):
    """What the scenarios share: parts, programs compiled once a shape, and the device's own account of memory."""

    def __init__(self, twin: Any, parts: Parts, cell: Cell) -> None:
        self.twin, self.parts, self.cell = twin, parts, cell
        self.compiled: dict[Any, Any] = {}

    def program(
        self,
        key: Hashable,
        function: Callable[..., Any],
        *given: Any,
        consumed: tuple[int, ...] = (),
        among: dict[Hashable, Any] | None = None,
    ) -> Any:
        """`function(module, *given)` compiled for these shapes; `consumed` are the indices in `given` it may reuse."""
        kept = self.compiled if among is None else among
        if key not in kept:
            import jax

            jitted = jax.jit(
                lambda leaves, *rest: function(self.parts.module(leaves), *rest),
                donate_argnums=tuple(index + 1 for index in consumed),
            )
            kept[key] = jitted.lower(self.parts.leaves, *given).compile()
        return kept[key]

    def programs(self) -> int:
        """One a shape."""
        return len(self.compiled)

    def placed(self, array: np.ndarray) -> Any:
        """Floats at the cell's precision, integers as int32; cast on the host, and copied there only where need be."""
        import jax

        dtype = self.parts.dtype if np.issubdtype(array.dtype, np.floating) else np.int32
        return jax.device_put(np.asarray(array, dtype), self.parts.device)

    def sync(self, y: Any) -> None:
        """Waits for every array."""
        import jax

        jax.block_until_ready(y)

    def to_host(self, y: Any) -> Arrays:
        """Half types are widened to float32; what is that wide, or counts, is handed out as it lies."""
        return {name: _host(array) for name, array in y.items()}

    def device_peak_bytes(self) -> int | None:
        """Peak of live bytes since opening, for JAX cannot start it anew; a CPU keeps no account."""
        return self._account().get("peak_bytes_in_use") or None

    def device_reserved_bytes(self) -> int | None:
        """Peak of what the allocator held; a CPU keeps no account."""
        account = self._account()
        return account.get("peak_pool_bytes") or account.get("peak_bytes_reserved") or None

    def _account(self) -> dict[str, int]:
        return self.parts.device.memory_stats() or {}

    def facts(self) -> dict[str, Any]:
        """Effective footing, read back from JAX and from this process."""
        import jax

        from backends.flax_nnx import effective, layers

        platform, programs = self.parts.device.platform, list(self.compiled.values())
        flags = os.environ.get("XLA_FLAGS", "")
        return {
            "threads": effective.threads(platform),
            "precision": str(self.parts.dtype),
            "matmul_precision": jax.config.jax_default_matmul_precision,  # pyright: ignore[reportAttributeAccessIssue]
            "layout": "NHWC",
            "attention": sorted(layers.traced),
            "scope": {"infer": "model forward", "generate": "prefill and decode"}[self.cell.scenario],
            "graph_breaks": 0,
            "cuda_graphs": "allowed" if self.cell.device == "cuda" and effective.command_buffers(flags) else False,
            "allocator": os.environ.get("XLA_PYTHON_CLIENT_ALLOCATOR", "default"),
            "platform": platform,
            "device": self.parts.device.device_kind,
            "jaxlib_target": effective.target(programs[0]) if platform == "cpu" and programs else None,
            "donation": False,
            "compile_scope": "whole model",
            "prepacked": self.parts.prepacked,
            "programs": self.programs(),
            "memory_analysis": [effective.sizes(program) for program in programs],
        }

    def close(self) -> None:
        """Drops programs and weights."""
        self.compiled.clear()
        self.parts.leaves.clear()


class InferSession(FlaxSession):
    """One forward pass a step."""

    def to_device(self, batch: Arrays) -> Placed:
        """Images are NHWC already. In order of name: whoever hands over a batch may hold it in any."""
        arrays = {name: self.placed(batch[name]) for name in sorted(batch)}
        return Placed(arrays, tuple((name, array.shape) for name, array in arrays.items()))

    def step(self, x: Placed) -> Any:
        """Dispatches the program."""
        return self.program(x.key, self.twin.forward, x.arrays)(self.parts.leaves, x.arrays)

    def sync(self, y: Any) -> None:
        """Asks each output: to walk them as a tree costs a small model 3 µs a step (docs/lab-notes.md)."""
        for array in y.values():
            array.block_until_ready()

    def cost(self, x: Placed) -> Cost | None:
        """XLA's own count of this batch's program; it knows no masks, and counts what is moved twice."""
        known = self.compiled[x.key].cost_analysis() if x.key in self.compiled else None
        if not known:
            return None
        return Cost(flops=known.get("flops", 0.0), bytes=known.get("bytes accessed", 0.0), by="XLA cost_analysis")


def _host(array: Any) -> np.ndarray:
    found = np.asarray(array)
    return found if found.dtype.kind in "biu" or found.dtype.itemsize >= 4 else found.astype(np.float32)
