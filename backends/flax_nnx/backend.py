"""Flax NNX twins as whole compiled programs, ahead of time, over a flat list of weights.

A call through `nnx.jit` walks the module each time and costs more than many a model does (INTEROP.md, "Fast on
XLA"), so the module is taken apart once, when it is opened, and put together again only while JAX traces.
A generation is two programs, prefill and decode, joined by a cache that the second one consumes; both hold
the same room, so that a request for one token runs the first alone and compiles nothing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.core import Arrays, Backend, Cell, Cost, ModelSpec, Session

DTYPES = {"fp64": "float64", "bf16": "bfloat16", "fp16": "float16"}
"""Of weights and activations; whatever is not listed is float32."""

MATMUL = {"tf32": "tensorfloat32", "bf16": "default", "fp16": "default"}
"""JAX's name of the precision of matrix products; whatever is not listed is `highest`, that is IEEE float32."""

ROOM = 64
"""Cache lengths are multiples of this: requests of nearly the same length share a program."""


class Flax(Backend):
    """The Flax NNX twin of a model."""

    name = "flax"
    extra = "flax"
    requires = ("jax", "flax")
    distributions = ("jax", "jaxlib", "flax")
    devices = ("cpu", "cuda", "tpu")
    scenarios = ("infer", "generate")
    precisions = ("fp32", "tf32", "bf16", "fp16")
    compiles = True
    program_a_shape = True
    oom_signs = (
        "RESOURCE_EXHAUSTED",
        "Out of memory",
        "Failed to allocate",
        "std::bad_alloc",
        "YNNPACK operation failed",  # a CPU's products name no cause: docs/sweep.md tells how it was found
    )

    def why_not(self, cell: Cell) -> str | None:
        """TF32 needs an NVIDIA device."""
        if cell.precision == "tf32" and cell.device != "cuda":
            return f"tf32 is a mode of NVIDIA devices; on {cell.device} choose fp32 or bf16"
        return super().why_not(cell)

    def env(self, cell: Cell, cache: Path) -> dict[str, str]:
        """One platform, IEEE products, a compile cache that keeps everything, and memory taken as it is needed.

        All of a device's, as torch may: JAX's allocator ends at three quarters of it where nothing is said.
        """
        whole = {} if "XLA_PYTHON_CLIENT_MEM_FRACTION" in os.environ else {"XLA_CLIENT_MEM_FRACTION": "1.0"}
        return {
            **(whole if cell.device == "cuda" else {}),
            "JAX_PLATFORMS": cell.device,
            "JAX_DEFAULT_MATMUL_PRECISION": MATMUL.get(cell.precision, "highest"),
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        }

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Builds the twin without values, loads them, and takes it apart."""
        import jax
        from flax import nnx
        from safetensors.numpy import load_file

        from backends.flax_nnx import bridge, models

        twin = models.load(model.architecture)
        module = nnx.eval_shape(lambda: twin.build(model.config, nnx.Rngs(0)))
        bridge.load(module, load_file(weights))
        if cell.scenario == "generate" and cell.device == "cpu":
            twin.rows_first(module)
        session = GenerateSession if cell.scenario == "generate" else InferSession
        return session(twin, Parts(module, cell, jax.devices(cell.device)[0]), cell)


class Parts:
    """A module taken apart: its graph, and its weights as a flat list on the device, at the cell's precision."""

    def __init__(self, module: Any, cell: Cell, device: Any) -> None:
        import jax
        import jax.numpy as jnp
        from flax import nnx

        self.device, self.dtype = device, jnp.dtype(DTYPES.get(cell.precision, "float32"))
        self.graph, state = nnx.split(module)
        found, self.tree = jax.tree.flatten(state)
        self.leaves = [jax.device_put(jnp.asarray(leaf, self.dtype), device) for leaf in found]

    def module(self, leaves: list[Any]) -> Any:
        """The module again, around traced leaves."""
        import jax
        from flax import nnx

        return nnx.merge(self.graph, jax.tree.unflatten(self.tree, leaves))


class Placed(NamedTuple):
    """A batch on the device, and what its program is compiled for."""

    arrays: Any
    key: Hashable
    new_tokens: int = 0
    room: int = 0


class FlaxSession(Session):
    """What the scenarios share: parts, programs compiled once a shape, and the device's own account of memory."""

    def __init__(self, twin: Any, parts: Parts, cell: Cell) -> None:
        self.twin, self.parts, self.cell = twin, parts, cell
        self.compiled: dict[Hashable, Any] = {}

    def program(self, key: Hashable, function: Callable[..., Any], *given: Any, consumed: tuple[int, ...] = ()) -> Any:
        """`function(module, *given)` compiled for these shapes; `consumed` are the indices in `given` it may reuse."""
        if key not in self.compiled:
            import jax

            jitted = jax.jit(
                lambda leaves, *rest: function(self.parts.module(leaves), *rest),
                donate_argnums=tuple(index + 1 for index in consumed),
            )
            self.compiled[key] = jitted.lower(self.parts.leaves, *given).compile()
        return self.compiled[key]

    def cost(self, x: Any) -> Cost | None:
        """XLA's own count of the one program of a forward pass; it knows no masks, and counts what is moved twice."""
        analysed = [program.cost_analysis() for program in self.compiled.values()]
        if self.cell.scenario == "generate" or len(analysed) != 1 or not analysed[0]:
            return None
        known = analysed[0]
        return Cost(flops=known.get("flops", 0.0), bytes=known.get("bytes accessed", 0.0), by="XLA cost_analysis")

    def programs(self) -> int:
        """One a shape."""
        return len(self.compiled)

    def to_device(self, array: np.ndarray) -> Any:
        """Floats at the cell's precision, integers as int32."""
        import jax

        dtype = self.parts.dtype if np.issubdtype(array.dtype, np.floating) else np.int32
        return jax.device_put(np.ascontiguousarray(array).astype(dtype), self.parts.device)

    def sync(self, y: Any) -> None:
        """Waits for every array."""
        import jax

        jax.block_until_ready(y)

    def get(self, y: Any) -> Arrays:
        """Floats as float32."""
        return {name: np.asarray(array).astype(np.float32) for name, array in y.items()}

    def device_peak_bytes(self) -> int | None:
        """Peak of live bytes; a CPU keeps no account."""
        return self._account().get("peak_bytes_in_use") or None

    def device_reserved_bytes(self) -> int | None:
        """Peak of what the allocator held; a CPU keeps no account."""
        account = self._account()
        return account.get("peak_pool_bytes") or account.get("peak_bytes_reserved") or None

    def _account(self) -> dict[str, int]:
        return self.parts.device.memory_stats() or {}

    def facts(self) -> dict[str, Any]:
        """Effective footing, read back from JAX."""
        import jax

        from backends.flax_nnx import layers

        return {
            "threads": len(os.sched_getaffinity(0)),
            "precision": str(self.parts.dtype),
            "matmul_precision": jax.config.jax_default_matmul_precision,  # pyright: ignore[reportAttributeAccessIssue]
            "layout": "NHWC",
            "attention": layers.chosen_attention(),
            "scope": {"infer": "model forward", "generate": "prefill and decode"}[self.cell.scenario],
            "graph_breaks": 0,
            "cuda_graphs": "--xla_gpu_enable_command_buffer=" not in os.environ.get("XLA_FLAGS", "")
            and self.cell.device == "cuda",
            "allocator": os.environ.get("XLA_PYTHON_CLIENT_ALLOCATOR", "default"),
            "platform": self.parts.device.platform,
            "device": self.parts.device.device_kind,
            "donation": self.cell.scenario == "generate",
            "compile_scope": "whole model",
            "programs": self.programs(),
            "memory_analysis": [_sizes(program) for program in self.compiled.values()],
        }

    def close(self) -> None:
        """Drops programs and weights."""
        self.compiled.clear()
        self.parts.leaves.clear()


class InferSession(FlaxSession):
    """One forward pass a step."""

    def put(self, batch: Arrays) -> Placed:
        """Images are NHWC already."""
        arrays = {name: self.to_device(array) for name, array in batch.items()}
        return Placed(arrays, tuple((name, array.shape) for name, array in arrays.items()))

    def step(self, x: Placed) -> Any:
        """Dispatches the program."""
        return self.program(x.key, self.twin.forward, x.arrays)(self.parts.leaves, x.arrays)


class GenerateSession(FlaxSession):
    """One greedy generation a step."""

    def __init__(self, twin: Any, parts: Parts, cell: Cell) -> None:
        super().__init__(twin, parts, cell)
        self.rooms: dict[tuple[int, ...], int] = {}

    def put(self, batch: Arrays) -> Placed:
        """A cache has the room of the largest request so far for prompts of this shape."""
        ids_BS, count = self.to_device(batch["input_ids"]), int(batch["new_tokens"])
        room = ROOM * math.ceil((ids_BS.shape[1] + count) / ROOM)
        room = self.rooms[ids_BS.shape] = max(room, self.rooms.get(ids_BS.shape, 0))
        return Placed(ids_BS, (ids_BS.shape, room), count, room)

    def step(self, x: Placed) -> Any:
        """Dispatches prefill, and decode for what is left to produce."""

        def prefill(module: Any, ids_BS: Any) -> Any:
            return self.twin.prefill(module, ids_BS, x.room)

        def decode(module: Any, token_B: Any, cache: Any) -> Any:
            return self.twin.decode(module, token_B, cache, x.new_tokens - 1)

        leaves = self.parts.leaves
        token_B, logit_B, cache = self.program(("prefill", x.key), prefill, x.arrays)(leaves, x.arrays)
        parts = [{"tokens": token_B[:, None], "logit": logit_B[:, None]}]
        if x.new_tokens > 1:
            run = self.program(("decode", x.key, x.new_tokens), decode, token_B, cache, consumed=(1,))
            tokens, logits, _ = run(leaves, token_B, cache)
            parts.append({"tokens": tokens, "logit": logits})
        return parts

    def get(self, y: Any) -> Arrays:
        """Joins what the two programs gave."""
        joined = {name: np.concatenate([np.asarray(part[name]) for part in y], 1) for name in ("tokens", "logit")}
        return {"tokens": joined["tokens"].astype(np.int64), "logit": joined["logit"].astype(np.float32)}


def _sizes(program: Any) -> dict[str, int] | None:
    """What the compiler knows beforehand of a program's memory; not every platform tells."""
    account = program.memory_analysis()
    if account is None:
        return None
    return {
        "argument_bytes": account.argument_size_in_bytes,
        "output_bytes": account.output_size_in_bytes,
        "alias_bytes": account.alias_size_in_bytes,
        "temp_bytes": account.temp_size_in_bytes,
        "generated_code_bytes": account.generated_code_size_in_bytes,
    }
