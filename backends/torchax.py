"""torchax: PyTorch's own modules, traced by JAX and compiled by XLA. Inference only.

Decoding is one step, traced with a cache of fixed room: transformers' `generate` under torchax runs operation by
operation. Importing torchax renames a device of torch's for the whole process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from weighbridge.backends.flax_nnx.backend import Flax
from weighbridge.backends.torch_nn import exporting
from weighbridge.backends.torch_nn.exporting import Piece, Shape, Source
from weighbridge.backends.torch_nn.runtime import LOGITS, PAST, TOKEN, Decoder, Graph, Runtime
from weighbridge.bench.core import Arrays, Backend, Cell, ModelSpec, Session


class Torchax(Backend):
    """torchax, on JAX."""

    name = "torchax"
    camp = Flax.camp
    extra = "torchax"
    requires = ("torchax", "jax", *exporting.REQUIRES)
    distributions = ("torchax", "jax", "jaxlib", *exporting.MAKERS)
    devices = Flax.devices
    scenarios = ("infer", "generate")
    precisions = Flax.precisions
    compiles = True
    program_a_shape = True
    oom_signs = Flax.oom_signs
    import_fixes = {
        "has no overload name 'dim_Dimname'": "torchax 0.0.13 does not import beside torch 2.13 or later; type: "
        "uv pip install 'torchax>=0.0.14.dev20261026'"
    }

    def why_not(self, cell: Cell) -> str | None:
        """As JAX."""
        return Flax().why_not(cell) or super().why_not(cell)

    def env(self, cell: Cell, cache: Path) -> dict[str, str]:
        """JAX's, and no hub is asked."""
        return {**Flax().env(cell, cache), **exporting.OFFLINE}

    def imports(self, model: ModelSpec) -> tuple[str, ...]:
        """PyTorch and the model's own library stay: torchax runs their code."""
        from weighbridge.backends.torch_nn import models

        return ("torchax", models.library(model))

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Traces lazily: at the first step."""
        from weighbridge.backends.torch_nn import exported

        return exported.session(Jitted(cell), Source(model, weights, cell))


class Jitted(Runtime):
    """Modules as functions of their weights, compiled by XLA for one shape each."""

    def __init__(self, cell: Cell) -> None:
        import jax

        self.jax, self.device = jax, jax.devices(cell.device)[0]
        self.traced: dict[tuple[str, ...], Traced] = {}

    def shape(self, batch: Arrays) -> Shape:
        """A program is of one shape."""
        return Shape.exactly(batch)

    def next_shape(self, known: Sequence[Shape], asked: Shape) -> Shape:
        """Always the one that is asked for."""
        return asked

    def put(self, array: np.ndarray) -> Any:
        """On the device; integers of 64 bits become such of 32."""
        return self.jax.device_put(array.astype(np.int32) if array.dtype == np.int64 else array, self.device)

    def get(self, value: Any) -> np.ndarray:
        """On the host."""
        return np.asarray(value)

    def wait(self, value: Any) -> None:
        """JAX returns before the work is done."""
        value.block_until_ready()

    def graph(self, source: Source, piece: Piece) -> Compiled:
        """One program. Programs of several shapes share their weights."""
        names = tuple(piece.names)
        if names not in self.traced:
            self.traced[names] = Traced(self, piece.build())
        return Compiled(self.traced[names], [self.put(piece.batch[name]) for name in names])

    def decoder(self, source: Source) -> Decoder:
        """One whose programs are made as their rooms come."""
        return Static(self, source)


class Traced:
    """A module as a function of its weights, which lie on the device; the module itself keeps none."""

    def __init__(self, runtime: Jitted, module: Any) -> None:
        import torchax

        module.requires_grad_(True)  # only of such weights does torchax find those that are tied
        weights, self.function = torchax.extract_jax(module)
        self.runtime, self.jax = runtime, runtime.jax
        self.weights = runtime.jax.device_put(weights, runtime.device)
        module.to("meta")

    def compiled(self, *given: Any, consumed: tuple[int, ...] = ()) -> Any:
        """A program of the weights and of arguments like these; `consumed` are those whose memory it may reuse."""

        def pure(weights: Any, *arguments: Any) -> Any:
            return self.function(weights, arguments)

        donated = [1 + index for index in consumed]
        return self.jax.jit(pure, donate_argnums=donated).lower(self.weights, *given).compile()

    def facts(self, programs: list[Any]) -> dict[str, Any]:
        """As JAX and this process tell them."""
        from weighbridge.backends.flax_nnx import effective

        cpu = self.runtime.device.platform == "cpu"
        return {
            "threads": effective.threads(self.runtime.device.platform),
            "precision": self.precision(),
            "matmul_precision": self.jax.config.jax_default_matmul_precision,
            "layout": "NCHW",
            "platform": self.runtime.device.platform,
            "ran_on": effective.device(self.runtime.device.platform),
            "jaxlib_target": effective.target(programs[0]) if cpu and programs else None,
            "prepacked": [],
            "memory_analysis": [effective.sizes(program) for program in programs],
        }

    def precision(self) -> str:
        """The dtype of most weights."""
        sizes: Counter[str] = Counter()
        for array in self.weights.values():
            sizes[str(array.dtype)] += array.size
        return sizes.most_common(1)[0][0]


class Compiled(Graph):
    """A program and its weights."""

    def __init__(self, traced: Traced, given: list[Any]) -> None:
        self.traced, self.program = traced, traced.compiled(*given)

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Dispatches it."""
        return self.program(self.traced.weights, *(values[name] for name in sorted(values)))

    def facts(self) -> dict[str, Any]:
        """Of both."""
        return self.traced.facts([self.program])


class Static(Decoder):
    """A cache of as much room as a request takes; a program for prompts, and one for tokens."""

    def __init__(self, runtime: Jitted, source: Source) -> None:
        from weighbridge.backends.torch_nn import decoding, tracing

        config = source.module.config
        self.runtime, self.traced = runtime, Traced(runtime, tracing.DecodingInRoom(source.module))
        self.heads, self.size = decoding.kept_heads(config)
        self.caches, self.dtype = 2 * config.num_hidden_layers, self.traced.precision()
        self.programs: dict[Any, Any] = {}
        self.start, self.past = 0, list[Any]()

    def begin(self, rows: int, room: int) -> None:
        """Caches of nothing."""
        shape = (rows, self.heads, room, self.size)
        zeros = self.runtime.jax.numpy.zeros
        self.start, self.past = 0, [zeros(shape, self.dtype, device=self.runtime.device) for _ in range(self.caches)]

    def next(self, ids: Any) -> tuple[Any, Any]:
        """The memory of the caches is used again."""
        given = (ids, self.runtime.put(np.asarray(self.start, np.int32)), self.past)
        key = (ids.shape, self.past[0].shape)
        if key not in self.programs:
            self.programs[key] = self.traced.compiled(*given, consumed=(2,))
        found = self.programs[key](self.traced.weights, *given)
        self.start, self.past = self.start + ids.shape[1], found[PAST]
        return found[TOKEN], found[LOGITS]

    @property
    def count(self) -> int:
        """Of programs."""
        return len(self.programs)

    def facts(self) -> dict[str, Any]:
        """Of all programs."""
        return {**self.traced.facts(list(self.programs.values())), "donation": True}
