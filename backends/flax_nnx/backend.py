"""Flax NNX twins as whole compiled programs, ahead of time, over a flat list of weights.

A call through `nnx.jit` walks the module each time and costs more than many a model does (docs/lab-notes.md), so the
module is taken apart once, when it is opened, and put together again only while JAX traces.
"""

from __future__ import annotations

import os
from pathlib import Path

from weighbridge.bench.core import Arrays, Backend, Cell, ModelSpec, Session, Written

MATMUL = {"tf32": "tensorfloat32", "bf16": "default", "fp16": "default"}
"""JAX's name of the precision of matrix products; whatever is not listed is `highest`, that is IEEE float32."""


class Flax(Backend):
    """The Flax NNX twin of a model."""

    name = "flax"
    camp = "jax"
    extra = "flax"
    requires = ("jax", "flax")
    distributions = ("jax", "jaxlib", "flax")
    devices = ("cpu", "cuda", "tpu")
    scenarios = ("infer", "generate")
    precisions = ("fp32", "tf32", "bf16", "fp16")
    compiles = True
    program_a_shape = True
    formats = ("stablehlo", "safetensors")
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
        from safetensors.numpy import load_file

        from weighbridge.backends.flax_nnx import bridge, models
        from weighbridge.backends.flax_nnx.generation import GenerateSession
        from weighbridge.backends.flax_nnx.placement import Parts, Placement, Policy
        from weighbridge.backends.flax_nnx.session import InferSession, SampleSession
        from weighbridge.backends.flax_nnx.twin import built, streams

        twin = models.twin(model.architecture)
        module = built(lambda: twin.build(model.config, streams(0)))
        bridge.load(module, load_file(weights))
        prepacked = twin.prepare(module, cell)
        parts = Parts(module, Policy.of(cell), Placement(jax.devices(cell.device)[:1]), prepacked)
        makes = SampleSession if twin.sample else GenerateSession
        return (makes if cell.scenario == "generate" else InferSession)(twin, parts, cell)

    def export(self, model: ModelSpec, weights: Path, cell: Cell, batch: Arrays, form: str, folder: Path) -> Written:
        """A program beside its weights, or what of them goes back to PyTorch."""
        from safetensors.numpy import load_file, save_file

        from weighbridge.backends.flax_nnx import formats
        from weighbridge.backends.torch_nn.formats import WEIGHTS_FILE, of_weights

        if form == "safetensors":
            save_file(formats.in_torchs_layout(model, weights), folder / WEIGHTS_FILE)
            return of_weights(model)
        return formats.write_program(*formats.loaded(model, load_file(weights)), cell, batch, folder)

    def reopen(self, folder: Path, form: str, model: ModelSpec, cell: Cell) -> Session:
        """The program as it is, or the twin around the weights."""
        from weighbridge.backends.flax_nnx.formats import ProgramSession
        from weighbridge.backends.torch_nn.formats import WEIGHTS_FILE

        return self.open(model, folder / WEIGHTS_FILE, cell) if form == "safetensors" else ProgramSession(folder, cell)
