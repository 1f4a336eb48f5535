"""ONNX Runtime: the reference's graph by `torch.onnx.export`, run with IO binding.

Its CPU provider computes in float32. On a CUDA device half precision runs, too, and `-O provider=tensorrt` has TensorRT
take what it can.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import metadata
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from weighbridge.backends.torch_nn import exporting
from weighbridge.backends.torch_nn.exporting import Piece, Source
from weighbridge.backends.torch_nn.runtime import IDS, LOGITS, OUTPUT, PAST, TOKEN, Decoder, FileRuntime, Graph
from weighbridge.bench.core import Arrays, Backend, Cell, ModelSpec, Session, Settings, WeighbridgeError, Written

FILE = "model.onnx"
DEVICES = {
    "CPUExecutionProvider": "cpu",
    "CUDAExecutionProvider": "cuda",
    "TensorrtExecutionProvider": "cuda",
}
"""Where a provider runs. A session whose first one cannot be loaded goes on with the next and only says so in a log."""
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}
TYPES: dict[str, Any] = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(bfloat16)": 16}
"""As a value of a type is made: NumPy's, or the number that ONNX has for it."""
MOST_COPIED = 2**18
"""Elements of outputs that are copied rather than bound."""
WITH_ATTENTION, WITHOUT = 23, 20
"""Versions of ONNX's operators. MiniLM is 6 % faster with one for attention (docs/lab-notes.md)."""
OF_ONE_LENGTH = "RotaryEmbedding"
"""Of version 23, which ONNX Runtime 1.32 refuses to run at another length than the first."""
DISTRIBUTIONS = ("onnxruntime", "onnx", "onnxscript")
LOADING = f"""import onnxruntime
session = onnxruntime.InferenceSession("{FILE}")
names = [output.name.removeprefix("{OUTPUT}") for output in session.get_outputs()]
outputs = dict(zip(names, session.run(None, inputs)))"""


class RuntimeOptions(Settings, frozen=True, kw_only=True):
    """Of ONNX Runtime."""

    provider: Literal["default", "tensorrt"] = "default"


class OnnxRuntime(Backend):
    """ONNX Runtime."""

    name = "onnxruntime"
    extra = "onnxruntime"
    requires = (*DISTRIBUTIONS, *exporting.REQUIRES)
    distributions = (*DISTRIBUTIONS, *exporting.MAKERS)
    devices = ("cpu", "cuda")
    scenarios = ("infer", "generate")
    precisions = ("fp32", "bf16", "fp16")
    compiles = True
    formats = ("onnx",)
    oom_signs = ("Failed to allocate memory", "bad allocation", "std::bad_alloc", "CUDA out of memory")
    Options = RuntimeOptions

    def why_not(self, cell: Cell) -> str | None:
        """Half precision needs a device."""
        if cell.device == "cpu" and cell.precision in ("bf16", "fp16"):
            return f"ONNX Runtime's CPU provider computes in float32; choose fp32, not {cell.precision}"
        return super().why_not(cell)

    def env(self, cell: Cell, cache: Path) -> dict[str, str]:
        """A folder for graphs; a CPU cell sees no device."""
        hidden = {"CUDA_VISIBLE_DEVICES": ""} if cell.device == "cpu" else {}
        return {**exporting.variables(cache), **hidden}

    def imports(self, model: ModelSpec) -> tuple[str, ...]:
        """The runtime, and PyTorch where the model is yet to be exported."""
        return ("onnxruntime", *exporting.imports(model, "torch.onnx", "onnxscript"))

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Exports lazily: at the first step."""
        from weighbridge.backends.torch_nn import exported

        return exported.session(Ort(cell), Source(model, weights, cell))

    def export(self, model: ModelSpec, weights: Path, cell: Cell, batch: Arrays, form: str, folder: Path) -> Written:
        """The file that sessions run, too."""
        from weighbridge.backends.torch_nn import exported

        exported.export(Ort(cell), Source(model, weights, cell), batch, folder)
        return Written(loading=LOADING, note=exporting.NAMES)

    def reopen(self, folder: Path, form: str, model: ModelSpec, cell: Cell) -> Session:
        """Imports no torch."""
        from weighbridge.backends.torch_nn import exported

        return exported.reopened(Ort(cell), folder, model, cell)


class Ort(FileRuntime):
    """The runtime, on one device."""

    name = "onnx"

    def __init__(self, cell: Cell) -> None:
        import onnxruntime

        self.ort, self.device = onnxruntime, cell.device
        asked = [name for name in (dict(cell.options).get("provider"), cell.device) if name in PROVIDERS]
        self.providers = [PROVIDERS[str(name)] for name in asked]
        if lacking := set(self.providers) - set(onnxruntime.get_available_providers()):
            names = ", ".join(sorted(lacking))
            raise WeighbridgeError(f"this onnxruntime has no {names}; type: uv pip install onnxruntime-gpu")

    @property
    def versions(self) -> list[str]:
        """Of the exporter."""
        return [metadata.version(name) for name in ("onnx", "onnxscript")]

    def write(self, program: Any, inputs: Sequence[str], outputs: Sequence[str], folder: Path) -> None:
        """By PyTorch's own exporter, with an operator for attention where the graph stays one of any length."""
        import torch

        def exported(opset: int) -> Any:
            return torch.onnx.export(
                program, input_names=inputs, output_names=outputs, opset_version=opset, verbose=False
            )

        found = exported(WITH_ATTENTION)
        if any(node.op_type == OF_ONE_LENGTH for node in found.model.graph):
            found = exported(WITHOUT)
        found.save(folder / FILE, external_data=True)

    def graph(self, source: Source, piece: Piece) -> Graph:
        """An InferenceSession."""
        return Loaded(self, self.exported(source, piece) / FILE)

    def load_decoder(self, folder: Path) -> Decoder:
        """One whose cache goes from outputs to inputs."""
        return Caching(self, Loaded(self, folder / FILE))

    def put(self, array: np.ndarray) -> Any:
        """An OrtValue on a device; a CPU's is the array."""
        return array if self.device == "cpu" else self.ort.OrtValue.ortvalue_from_numpy(array, self.device, 0)

    def get(self, value: Any) -> np.ndarray:
        """On the host."""
        return value if isinstance(value, np.ndarray) else value.numpy()


class Loaded(Graph):
    """An InferenceSession with a thread for every CPU that the process may use."""

    def __init__(self, runtime: Ort, file: Path) -> None:
        options = runtime.ort.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        options.log_severity_level = 3  # errors
        before = _threads()
        self.session = runtime.ort.InferenceSession(file, options, providers=runtime.providers)
        self.threads = _threads() - before + 1  # its pool, and who calls
        self.file, self.device = file, runtime.device
        self.outputs = [output.name for output in self.session.get_outputs()]
        self.names = [name.removeprefix(OUTPUT) for name in self.outputs]
        self.binding = self.session.io_binding()
        self.copies = False

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Small outputs on the host are sooner copied than bound: of a step of 27 µs a binding takes 8 more."""
        if self.copies:
            return dict(zip(self.names, self.session.run(self.outputs, values), strict=True))
        found = self.bound(values)
        size = sum(prod(value.shape()) for value in found.values())
        self.copies = self.device == "cpu" and size <= MOST_COPIED and all(map(_on_host, values.values()))
        return found

    def bound(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Outputs are bound anew each time: else they are written where they were written before."""
        for name, value in values.items():
            if _on_host(value):
                self.binding.bind_cpu_input(name, value)
            else:
                self.binding.bind_ortvalue_input(name, value)
        self.binding.clear_binding_outputs()
        for name in self.outputs:
            self.binding.bind_output(name, self.device)
        self.session.run_with_iobinding(self.binding)
        return dict(zip(self.names, self.binding.get_outputs(), strict=True))

    def facts(self) -> dict[str, Any]:
        """As the session and its file tell them."""
        level = self.session.get_session_options().graph_optimization_level
        return {
            "threads": self.threads,
            **_of_the_file(self.file),
            "layout": "NCHW, or blocks of channels where the runtime chooses them",
            "providers": self.session.get_providers(),
            "ran_on": DEVICES.get(self.session.get_providers()[0]),
            "graph_optimisation": str(level).rpartition(".")[2],
            "prepacked": ["laid anew by ONNX Runtime"],
        }


class Caching(Decoder):
    """Keys and values are OrtValues that stay where they were written."""

    def __init__(self, runtime: Ort, graph: Loaded) -> None:
        self.runtime, self.graph = runtime, graph
        self.past: dict[str, Any] = {}

    def begin(self, rows: int, room: int) -> None:
        """Caches of no position."""
        inputs = [each for each in self.graph.session.get_inputs() if each.name.startswith(PAST)]
        self.past = {each.name: self._empty(rows, each) for each in inputs}

    def _empty(self, rows: int, given: Any) -> Any:
        _, heads, _, size = given.shape
        kind = {"tensor(float16)": np.float16, "tensor(bfloat16)": 16}.get(
            given.type, np.float32
        )  # 16: ONNX's BFLOAT16
        return self.runtime.ort.OrtValue.ortvalue_from_shape_and_type(
            (rows, heads, 0, size), kind, self.graph.device, 0
        )

    def next(self, ids: Any) -> tuple[Any, Any]:
        """What this call writes is what the next one reads."""
        found = self.graph.bound({IDS: ids, **self.past})
        self.past = {name: found[name] for name in self.past}
        return found[TOKEN], found[LOGITS]

    def facts(self) -> dict[str, Any]:
        """The graph's."""
        return self.graph.facts()


def _on_host(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def _of_the_file(file: Path) -> dict[str, Any]:
    """The version of the operators, and the type that most weights have."""
    import onnx

    model = onnx.load(file, load_external_data=False)
    sizes: Counter[int] = Counter()
    for each in model.graph.initializer:
        sizes[each.data_type] += prod(each.dims)
    kind = onnx.TensorProto.DataType.Name(sizes.most_common(1)[0][0])
    names = {"FLOAT": "float32", "FLOAT16": "float16", "BFLOAT16": "bfloat16"}
    return {"precision": names.get(kind, kind.lower()), "opset": model.opset_import[0].version}
