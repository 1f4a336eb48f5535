"""What the scenarios share on the device: programs compiled once a shape, and their footing."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np

from weighbridge.backends.flax_nnx.placement import Parts
from weighbridge.backends.flax_nnx.twin import Twin
from weighbridge.bench.core import Arrays, Cell, Cost, Session


class Placed(NamedTuple):
    """A batch on the device, and what its program is compiled for."""

    arrays: dict[str, Any]
    key: Hashable


class FlaxSession(Session):
    """What the scenarios share: parts, programs compiled once a shape, and the device's own account of memory."""

    scope: ClassVar[str] = "model forward"
    """What one timed step holds; every backend's says the same or gets no ratio."""

    def __init__(self, twin: Twin, parts: Parts, cell: Cell) -> None:
        from weighbridge.backends.flax_nnx import compiling

        self.twin, self.parts, self.cell = twin, parts, cell
        self.compiler_options = compiling.options(parts.placement.platform)  # asked here: a first step is timed
        self.compiled: dict[Any, Any] = {}

    def program(
        self,
        key: Hashable,
        function: Callable[..., Any],
        *given: Any,
        consumed: tuple[int, ...] = (),
        among: dict[Hashable, Any] | None = None,
        changes: bool = False,
    ) -> Any:
        """`function(module, *given)` compiled for these shapes, as a function of the leaves and `given`.

        `consumed` are the indices in `given` whose memory it may reuse. One that `changes` the module also returns the
        leaves as they are afterwards, and reuses the memory of those that it is given.
        """
        kept = self.compiled if among is None else among
        if key not in kept:
            import jax

            def pure(leaves: list[Any], *rest: Any) -> Any:
                module = self.parts.module(leaves)
                found = function(module, *rest)
                return (found, self.parts.leaves_of(module)) if changes else found

            donated = (*((0,) if changes else ()), *(index + 1 for index in consumed))
            lowered = jax.jit(pure, donate_argnums=donated).lower(self.parts.leaves, *given)
            kept[key] = lowered.compile(compiler_options=self.compiler_options)
        return kept[key]

    def programs(self) -> int:
        """One a shape."""
        return len(self.compiled)

    def placed(self, array: np.ndarray) -> Any:
        """Floats at the cell's precision, integers as int32; cast on the host, and copied there only where need be."""
        dtype = self.parts.policy.compute if np.issubdtype(array.dtype, np.floating) else np.int32
        return self.parts.placement.put(array, dtype)

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
        return self.parts.placement.devices[0].memory_stats() or {}

    def facts(self) -> dict[str, Any]:
        """Effective footing, read back from JAX and from this process."""
        import jax

        from weighbridge.backends.flax_nnx import effective
        from weighbridge.backends.flax_nnx.layers import attending

        platform, programs = self.parts.placement.platform, list(self.compiled.values())
        flags = os.environ.get("XLA_FLAGS", "")
        return {
            "threads": effective.threads(platform),
            "precision": str(self.parts.policy.compute),
            "matmul_precision": jax.config.jax_default_matmul_precision,  # pyright: ignore[reportAttributeAccessIssue]
            "layout": "NHWC",
            "attention": sorted(attending.traced),
            "scope": self.scope,
            "graph_breaks": 0,
            "cuda_graphs": "allowed" if self.cell.device == "cuda" and effective.command_buffers(flags) else False,
            "allocator": os.environ.get("XLA_PYTHON_CLIENT_ALLOCATOR", "default"),
            "platform": platform,
            "ran_on": effective.device(platform),
            "device": self.parts.placement.devices[0].device_kind,
            "jaxlib_target": effective.target(programs[0]) if platform == "cpu" and programs else None,
            "donation": False,
            "compile_scope": "whole model",
            "compiler_options": self.compiler_options,
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

    @property
    def function(self) -> Callable[..., Any]:
        """What a step computes."""
        return self.twin.forward

    def to_device(self, batch: Arrays) -> Placed:
        """Images are NHWC already. In order of name: whoever hands over a batch may hold it in any."""
        arrays = {name: self.placed(batch[name]) for name in sorted(batch)}
        return Placed(arrays, tuple((name, array.shape) for name, array in arrays.items()))

    def step(self, x: Placed) -> Any:
        """Dispatches the program."""
        return self.program(x.key, self.function, x.arrays)(self.parts.leaves, x.arrays)

    def sync(self, y: Any) -> None:
        """Asks each output: to walk them as a tree costs a small model 3 µs a step (docs/lab-notes.md)."""
        for array in y.values():
            array.block_until_ready()

    def mutants(self) -> dict[str, Callable[[], Session]]:
        """The twin's own mistakes, each in a module of its own."""
        return {name: partial(self._mutated, change) for name, change in self.twin.mutants.items()}

    def _mutated(self, change: Callable[[Any], None]) -> Session:
        parts = self.parts
        module = parts.module(parts.leaves)
        change(module)
        return type(self)(self.twin, Parts(module, parts.policy, parts.placement), self.cell)

    def cost(self, x: Placed) -> Cost | None:
        """XLA's own count of this batch's program; it knows no masks, and counts what is moved twice."""
        known = self.compiled[x.key].cost_analysis() if x.key in self.compiled else None
        if not known:
            return None
        return Cost(flops=known.get("flops", 0.0), bytes=known.get("bytes accessed", 0.0), by="XLA cost_analysis")


class SampleSession(InferSession):
    """Whole samples a step, all in one program."""

    scope = "all steps of sampling"

    @property
    def function(self) -> Callable[..., Any]:
        """What a step computes."""
        assert self.twin.sample is not None
        return self.twin.sample


def _host(array: Any) -> np.ndarray:
    found = np.asarray(array)
    return found if found.dtype.kind in "biu" or found.dtype.itemsize >= 4 else found.astype(np.float32)
