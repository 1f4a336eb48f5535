"""OpenVINO on the CPU: the reference's graph by `torch.export`, converted; a request keeps the cache of decoding."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from backends.torch_nn import exporting
from backends.torch_nn.runtime import IDS, LOGITS, OUTPUT, PAST, TOKEN, Decoder, FileRuntime, Graph
from bench.core import Backend, Cell, ModelSpec, Session

FILE = "model.xml"
PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
"""A hint is asked for outright: left alone OpenVINO takes bf16 wherever the processor multiplies it faster."""


PRODUCTS = ("FullyConnected", "MatMul", "Convolution", "Deconvolution", "ScaledDotProductAttention")


class OpenVino(Backend):
    """OpenVINO."""

    name = "openvino"
    extra = "openvino"
    requires = ("openvino", *exporting.REQUIRES)
    distributions = ("openvino", *exporting.MAKERS)
    scenarios = ("infer", "generate")
    precisions = ("fp32", "bf16")
    compiles = True
    oom_signs = ("bad allocation", "std::bad_alloc")

    def env(self, cell: Cell, cache: Path) -> dict[str, str]:
        """A folder for graphs."""
        return exporting.variables(cache)

    def imports(self, model: ModelSpec) -> tuple[str, ...]:
        """OpenVINO, and PyTorch where the model is yet to be exported."""
        return ("openvino", *exporting.imports(model))

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Exports lazily: at the first step. In float32, whatever is computed in: the hint says that."""
        import msgspec

        from backends.torch_nn import exported

        wide = msgspec.structs.replace(cell, precision="fp32")
        return exported.session(Vino(cell), exporting.Source(model, weights, wide))


class Vino(FileRuntime):
    """The runtime at a cell's precision."""

    name = "openvino"

    def __init__(self, cell: Cell) -> None:
        import openvino

        self.ov, self.core = openvino, openvino.Core()
        self.settings = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[cell.precision],
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)),
            "ENABLE_HYPER_THREADING": True,  # else of two CPUs of one core it takes one
        }

    @property
    def versions(self) -> list[str]:
        """Of the converter."""
        return [metadata.version("openvino")]

    def write(self, program: Any, inputs: Sequence[str], outputs: Sequence[str], folder: Path) -> None:
        """Weights stay float32; caches become the state of a request."""
        import torch

        model = self.ov.convert_model(program.run_decompositions({torch.ops.aten.unfold.default: _unfold}))
        for ports, names in ((model.inputs, inputs), (model.outputs, outputs)):
            for port, name in zip(ports, names, strict=True):
                port.get_tensor().set_names({name})
        model.reshape(dict(zip(inputs, _sizes(program), strict=True)))  # what is fixed, which conversion forgets
        if pairs := {name: OUTPUT + name for name in inputs if name.startswith(PAST)}:
            from openvino._offline_transformations import apply_make_stateful_transformation

            apply_make_stateful_transformation(model, pairs)
        self.ov.save_model(model, folder / FILE, compress_to_fp16=False)

    def load(self, folder: Path) -> Loaded:
        """A compiled model; what compiling gave is kept beside the file."""
        return Loaded(self, self.compiled(folder))

    def load_decoder(self, folder: Path) -> Decoder:
        """One whose cache is its request's state."""
        return Stateful(self, self.compiled(folder))

    def compiled(self, folder: Path) -> Any:
        """For the CPU."""
        return self.core.compile_model(folder / FILE, "CPU", {**self.settings, "CACHE_DIR": str(folder / "compiled")})

    def put(self, array: np.ndarray) -> Any:
        """The array's own memory."""
        return self.ov.Tensor(array, shared_memory=True)

    def get(self, value: Any) -> np.ndarray:
        """The tensor's own memory."""
        return value.data


class Loaded(Graph):
    """A compiled model and its request."""

    def __init__(self, runtime: Vino, compiled: Any) -> None:
        self.ov, self.compiled, self.request = runtime.ov, compiled, compiled.create_infer_request()
        self.types = {port.get_any_name(): port.get_element_type() for port in compiled.outputs}
        self.shapes: dict[Any, dict[str, Any]] = {}

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Each time into new memory, by the shapes that the first batch of this shape gave; that one is copied."""
        key = tuple(tuple(value.shape) for value in values.values())
        if key not in self.shapes:
            return self._first(key, values)
        found = {name: self.ov.Tensor(self.types[name], shape) for name, shape in self.shapes[key].items()}
        self._infer({**values, **found})
        return _plain(found)

    def _first(self, key: Any, values: Mapping[str, Any]) -> dict[str, Any]:
        self.request = self.compiled.create_infer_request()  # the last one may be bound to outputs of another shape
        self._infer(values)
        found = {name: self.ov.Tensor(np.array(self.request.get_tensor(name).data)) for name in self.types}
        self.shapes[key] = {name: value.shape for name, value in found.items()}
        return _plain(found)

    def _infer(self, tensors: Mapping[str, Any]) -> None:
        for name, tensor in tensors.items():
            self.request.set_tensor(name, tensor)
        self.request.infer()

    def facts(self) -> dict[str, Any]:
        """As the compiled model tells them."""
        return _facts(self.compiled)


class Stateful(Decoder):
    """Keys and values are the state of a request."""

    def __init__(self, runtime: Vino, compiled: Any) -> None:
        self.ov, self.compiled, self.request = runtime.ov, compiled, compiled.create_infer_request()

    def begin(self, rows: int, room: int) -> None:
        """States of no position. What OpenVINO would begin with has no rows either."""
        self.request.reset_state()
        for state in self.request.query_state():
            _, heads, _, size = state.state.shape
            state.state = self.ov.Tensor(np.empty((rows, heads, 0, size), np.float32))

    def next(self, ids: Any) -> tuple[Any, Any]:
        """Copied, since the next call writes where this one did."""
        self.request.set_tensor(IDS, ids)
        self.request.infer()
        token, logits = (np.array(self.request.get_tensor(OUTPUT + name).data) for name in (TOKEN, LOGITS))
        return self.ov.Tensor(token, shared_memory=True), self.ov.Tensor(logits, shared_memory=True)

    def facts(self) -> dict[str, Any]:
        """As the compiled model tells them."""
        return _facts(self.compiled)


def _unfold(x: Any, dimension: int, size: int, step: int) -> Any:
    """Windows along an axis, which become the last, by indices: OpenVINO 2026.4.1 does not convert `aten.unfold`."""
    import torch

    axis = dimension % x.ndim
    starts = torch.arange(0, x.shape[axis] - size + 1, step)
    at = starts[:, None] + torch.arange(size)
    return x.index_select(axis, at.flatten()).unflatten(axis, tuple(at.shape)).movedim(axis + 1, -1)


def _plain(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name.removeprefix(OUTPUT): value for name, value in found.items()}


def _sizes(program: Any) -> list[list[int]]:
    """The sizes of each input of an ExportedProgram, -1 where it may be any."""
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    shapes = [values[name].shape for name in program.graph_signature.user_inputs]
    return [[size if isinstance(size, int) else -1 for size in shape] for shape in shapes]


def _facts(compiled: Any) -> dict[str, Any]:
    return {
        "threads": compiled.get_property("INFERENCE_NUM_THREADS"),
        "precision": _precision(compiled),
        "streams": compiled.get_property("NUM_STREAMS"),
        "layout": "NCHW, or blocks of channels where the runtime chooses them",
        "prepacked": ["laid anew by OpenVINO"],
    }


def _precision(compiled: Any) -> str:
    """What most products are computed in: a processor without bf16 is not made to have it by a hint."""
    layers = [layer.get_rt_info() for layer in compiled.get_runtime_model().get_ops()]
    found = Counter(str(each["runtimePrecision"].value) for each in layers if each["layerType"].value in PRODUCTS)
    kind = found.most_common(1)[0][0] if found else "none"
    return {"f32": "float32", "bf16": "bfloat16", "f16": "float16"}.get(kind, kind)
