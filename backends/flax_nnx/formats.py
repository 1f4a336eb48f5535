"""What twins are exported to: StableHLO by `jax.export` beside its weights, or weights as PyTorch has them.

The batch is a symbol, so that one program takes any number of rows, and weights are arguments of it, so that they lie
in a file of their own and none is written into the program. Nothing is pickled.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np
from flax import nnx
from safetensors.numpy import load_file, save_file

from weighbridge.backends.flax_nnx import bridge, models
from weighbridge.backends.flax_nnx.placement import Policy
from weighbridge.backends.flax_nnx.twin import WEIGHTS, Twin, built, streams
from weighbridge.bench.core import Arrays, Cell, ModelSpec, Session, WeighbridgeError, Written

PROGRAM_FILE, LEAVES_FILE = "model.stablehlo", "weights.safetensors"
ROWS = "rows"
CALLED = re.compile(r'custom_call @"?([\w.]+)|call_target_name = "([\w.]+)"')
LOADING = f"""import jax.export, pathlib
from safetensors.numpy import load_file
program = jax.export.deserialize(bytearray(pathlib.Path("{PROGRAM_FILE}").read_bytes()))
outputs = program.call(load_file("{LEAVES_FILE}"), inputs)"""
NOTE = "The program is for %s. Its first argument is the weights, by their names in the twin; %s is any number."


def loaded(model: ModelSpec, weights: Arrays) -> tuple[Twin, Any]:
    """A twin with its weights, as the file of its architecture lays them."""
    twin = models.twin(model.architecture)
    module = built(lambda: twin.build(model.config, streams(0)))
    bridge.load(module, weights)
    return twin, module


def in_torchs_layout(model: ModelSpec, weights: Path) -> Arrays:
    """Weights that went into a twin and out again."""
    return bridge.export(loaded(model, load_file(weights))[1])


def write_program(twin: Twin, module: Any, cell: Cell, batch: Arrays, folder: Path) -> Written:
    """Writes a twin's forward pass, for the platform of the cell, and the leaves that it takes."""
    policy = Policy.of(cell)
    graph, state, others = nnx.split(module, WEIGHTS, ...)
    names = [".".join(map(str, path)) for path, _ in nnx.to_flat_state(state)]
    values, tree = jax.tree.flatten(state)
    laid = (np.asarray(value, policy.parameters, order="C") for value in values)  # safetensors writes bytes as they lie
    leaves = dict(zip(names, laid, strict=True))

    def forward(given: dict[str, Any], inputs: dict[str, Any]) -> dict[str, Any]:
        again = nnx.merge(graph, jax.tree.unflatten(tree, [given[name] for name in names]), others)
        return twin.forward(again, {name: _cast(inputs[name], policy.compute) for name in inputs})

    (rows,) = jax.export.symbolic_shape(ROWS)
    inputs = {name: jax.ShapeDtypeStruct((rows, *array.shape[1:]), _dtype(array)) for name, array in batch.items()}
    abstract = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in leaves.items()}
    program = jax.export.export(jax.jit(forward), platforms=[cell.device])(abstract, inputs)
    save_file(leaves, folder / LEAVES_FILE)
    (folder / PROGRAM_FILE).write_bytes(program.serialize())
    return Written(loading=LOADING, note=NOTE % (cell.device, ROWS))


def _dtype(array: np.ndarray) -> Any:
    return np.float32 if array.dtype.kind == "f" else np.int32


def _cast(array: Any, dtype: Any) -> Any:
    return array.astype(dtype) if array.dtype.kind == "f" else array


class ProgramSession(Session):
    """A program of a file, compiled once a number of rows."""

    def __init__(self, folder: Path, cell: Cell) -> None:
        program = jax.export.deserialize(bytearray((folder / PROGRAM_FILE).read_bytes()))
        if calls := sorted(word for word in _custom_calls(program) if "callback" in word):
            raise WeighbridgeError(f"{folder / PROGRAM_FILE} is not opened: it calls {', '.join(calls)}")
        self.device = jax.devices(cell.device)[0]
        self.leaves = jax.device_put(load_file(folder / LEAVES_FILE), self.device)
        self.run = jax.jit(program.call)

    def to_device(self, batch: Arrays) -> dict[str, Any]:
        """Floats as float32, integers as int32."""
        return {name: jax.device_put(np.asarray(batch[name], _dtype(batch[name])), self.device) for name in batch}

    def step(self, x: dict[str, Any]) -> dict[str, Any]:
        """Dispatches the program."""
        return self.run(self.leaves, x)

    def sync(self, y: dict[str, Any]) -> None:
        """Waits for every output."""
        jax.block_until_ready(y)

    def to_host(self, y: dict[str, Any]) -> Arrays:
        """Half types are widened to float32."""
        return {name: np.asarray(y[name], _wide(y[name].dtype)) for name in y}


def _wide(dtype: Any) -> Any:
    return dtype if dtype.kind in "biu" or dtype.itemsize >= 4 else np.float32


def _custom_calls(program: Any) -> set[str]:
    """What a program calls that is no operation of StableHLO."""
    return {first or second for first, second in CALLED.findall(program.mlir_module())}
