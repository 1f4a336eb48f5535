"""OpenVINO on the CPU: the reference's graph by `torch.export`, converted; a request keeps the cache of decoding."""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np

from weighbridge.backends.torch_nn import exporting
from weighbridge.backends.torch_nn.exporting import Piece, Shape, Source
from weighbridge.backends.torch_nn.runtime import IDS, LOGITS, OUTPUT, PAST, TOKEN, Decoder, FileRuntime, Graph
from weighbridge.bench.core import Arrays, Backend, Cell, ModelSpec, Session, Settings, Written

FILE = "model.xml"
PRECISIONS = {"fp32": "f32", "bf16": "bf16"}
"""A hint is asked for outright: left alone OpenVINO takes bf16 wherever the processor multiplies it faster."""
LOADING = f"""import openvino
program = openvino.compile_model("{FILE}", "CPU", {{"INFERENCE_PRECISION_HINT": "%s"}})
found = program({{name: inputs[name] for name in sorted(inputs)}})
outputs = {{port.any_name.removeprefix("{OUTPUT}"): found[port] for port in program.outputs}}"""
MOST_COPIED = 2**18
"""Elements of an output that is copied rather than bound."""
PRODUCTS = ("FullyConnected", "MatMul", "Convolution", "Deconvolution", "ScaledDotProductAttention")


class VinoOptions(Settings, frozen=True, kw_only=True):
    """Of OpenVINO."""

    hint: Literal["latency", "throughput"] = "latency"
    """One step at a time on all threads, or as many at once as OpenVINO finds best, each on fewer."""


class OpenVino(Backend):
    """OpenVINO."""

    name = "openvino"
    extra = "openvino"
    requires = ("openvino", *exporting.REQUIRES)
    distributions = ("openvino", *exporting.MAKERS)
    scenarios = ("infer", "generate")
    precisions = ("fp32", "bf16")
    compiles = True
    formats = ("openvino",)
    program_a_shape = True
    Options = VinoOptions
    oom_signs = ("bad allocation", "std::bad_alloc")

    def why_not(self, cell: Cell) -> str | None:
        """Tokens come one after the other."""
        if cell.scenario == "generate" and dict(cell.options).get("hint") == "throughput":
            return "openvino generates one step at a time; leave out -O hint=throughput"
        return super().why_not(cell)

    def env(self, cell: Cell, cache: Path) -> dict[str, str]:
        """A folder for graphs."""
        return exporting.variables(cache)

    def imports(self, model: ModelSpec) -> tuple[str, ...]:
        """OpenVINO, and PyTorch where the model is yet to be exported."""
        _tell_nobody()
        return ("openvino", *exporting.imports(model))

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Exports lazily: at the first step. In float32, whatever is computed in: the hint says that."""
        from weighbridge.backends.torch_nn import exported

        return exported.session(Vino(cell), _wide(model, weights, cell))

    def export(self, model: ModelSpec, weights: Path, cell: Cell, batch: Arrays, form: str, folder: Path) -> Written:
        """The file that sessions compile, too."""
        from weighbridge.backends.torch_nn import exported

        exported.export(Vino(cell), _wide(model, weights, cell), batch, folder)
        return Written(loading=LOADING % PRECISIONS[cell.precision], note=exporting.NAMES)

    def reopen(self, folder: Path, form: str, model: ModelSpec, cell: Cell) -> Session:
        """Imports no torch."""
        from weighbridge.backends.torch_nn import exported

        return exported.reopened(Vino(cell), folder, model, cell)


def _tell_nobody() -> None:
    """Keeps OpenVINO from telling Intel of its import and of what it converts, for which it forks a process."""
    modules: dict[str, Any] = sys.modules
    modules["openvino_telemetry"] = None  # as if it were not installed


def _wide(model: ModelSpec, weights: Path, cell: Cell) -> Source:
    import msgspec

    return Source(model, weights, msgspec.structs.replace(cell, precision="fp32"))


class Vino(FileRuntime):
    """The runtime at a cell's precision."""

    name = "openvino"

    def __init__(self, cell: Cell) -> None:
        _tell_nobody()
        import openvino

        self.ov, self.core = openvino, openvino.Core()
        self.hint = str(dict(cell.options).get("hint", "latency"))
        self.flights: list[Flights] = []
        self.settings = {
            "INFERENCE_PRECISION_HINT": PRECISIONS[cell.precision],
            "PERFORMANCE_HINT": self.hint.upper(),
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

    def shape(self, batch: Arrays) -> Shape:
        """A file takes any number of rows; what is compiled of it takes one, which is faster."""
        return Shape.exactly(batch)

    def next_shape(self, known: Sequence[Shape], asked: Shape) -> Shape:
        """Always the one that is asked for."""
        return asked

    def graph(self, source: Source, piece: Piece) -> Graph:
        """The file of any number of rows, compiled for as many as there are."""
        folder = self.exported(source, piece._replace(shape=Shape.of(piece.batch)))
        model = self.core.read_model(folder / FILE)
        model.reshape({name: piece.batch[name].shape for name in piece.names})
        compiled = self.compiled(model, exporting.folder() if source.folder else folder)
        if self.hint == "latency":
            return Loaded(self, compiled, piece.names)
        self.flights.append(Flights(self, compiled, piece.names))
        return self.flights[-1]

    def load_decoder(self, folder: Path) -> Decoder:
        """One whose cache is its request's state."""
        return Stateful(self, self.compiled(self.core.read_model(folder / FILE), folder))

    def compiled(self, model: Any, folder: Path) -> Any:
        """For the CPU; what compiling gave is kept in the folder: beside the file, but for a file that was given."""
        return self.core.compile_model(model, "CPU", {**self.settings, "CACHE_DIR": str(folder / "compiled")})

    def put(self, array: np.ndarray) -> Any:
        """The array's own memory."""
        return self.ov.Tensor(array, shared_memory=True)

    def wait(self, value: Any) -> None:
        """For all that is under way: what began before may end later."""
        for each in self.flights:
            each.land()

    def get(self, value: Any) -> np.ndarray:
        """The tensor's own memory; small outputs are arrays already."""
        return value if isinstance(value, np.ndarray) else value.data


class Loaded(Graph):
    """A compiled model and its request."""

    def __init__(self, runtime: Vino, compiled: Any, names: Sequence[str]) -> None:
        self.ov, self.compiled, self.request = runtime.ov, compiled, compiled.create_infer_request()
        self.inputs = [_name(port, names) for port in compiled.inputs]
        self.outputs = [_name(port, [OUTPUT]).removeprefix(OUTPUT) for port in compiled.outputs]
        self.large = [at for at, port in enumerate(compiled.outputs) if prod(port.shape) > MOST_COPIED]

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Large outputs are written to memory of their own; small ones are sooner copied there."""
        for at, name in enumerate(self.inputs):
            self.request.set_input_tensor(at, values[name])
        for at in self.large:
            port = self.compiled.outputs[at]
            self.request.set_output_tensor(at, self.ov.Tensor(port.get_element_type(), port.shape))
        self.request.infer()
        return {name: self._output(at) for at, name in enumerate(self.outputs)}

    def _output(self, at: int) -> Any:
        found = self.request.get_output_tensor(at)
        return found if at in self.large else found.data.copy()

    def facts(self) -> dict[str, Any]:
        """As the compiled model tells them."""
        return _facts(self.compiled)


class Flights(Graph):
    """A compiled model and as many requests as OpenVINO runs best at once: a step begins, and does not wait."""

    def __init__(self, runtime: Vino, compiled: Any, names: Sequence[str]) -> None:
        self.ov, self.compiled = runtime.ov, compiled
        count = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self.idle = deque(compiled.create_infer_request() for _ in range(count))
        self.under_way: deque[Any] = deque()
        self.inputs = [_name(port, names) for port in compiled.inputs]
        self.outputs = [_name(port, [OUTPUT]).removeprefix(OUTPUT) for port in compiled.outputs]

    def run(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Waits for the oldest request where all are under way; outputs are written to memory of their own."""
        request = self.idle.popleft() if self.idle else self._landed()
        for at, name in enumerate(self.inputs):
            request.set_input_tensor(at, values[name])
        found = {name: self.ov.Tensor(p.get_element_type(), p.shape) for name, p in self._ports()}
        for at, tensor in enumerate(found.values()):
            request.set_output_tensor(at, tensor)
        request.start_async()
        self.under_way.append(request)
        return found

    def _ports(self) -> Iterable[tuple[str, Any]]:
        return zip(self.outputs, self.compiled.outputs, strict=True)

    def _landed(self) -> Any:
        request = self.under_way.popleft()
        request.wait()
        return request

    def land(self) -> None:
        """Waits for all."""
        while self.under_way:
            self.idle.append(self._landed())

    def facts(self) -> dict[str, Any]:
        """As the compiled model tells them, and how many steps are under way at once."""
        return {**_facts(self.compiled), "requests": len(self.idle) + len(self.under_way)}


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


def _name(port: Any, beginnings: Sequence[str]) -> str:
    """The name that we gave; OpenVINO may know more of them for one tensor."""
    return next(name for name in sorted(port.get_names()) if name.startswith(tuple(beginnings)))


def _sizes(program: Any) -> list[list[int]]:
    """The sizes of each input of an ExportedProgram, -1 where it may be any."""
    values = {node.name: node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"}
    shapes = [values[name].shape for name in program.graph_signature.user_inputs]
    return [[size if isinstance(size, int) else -1 for size in shape] for shape in shapes]


def _facts(compiled: Any) -> dict[str, Any]:
    return {
        "threads": compiled.get_property("INFERENCE_NUM_THREADS"),
        "precision": _precision(compiled),
        "ran_on": "+".join(compiled.get_property("EXECUTION_DEVICES")).lower(),
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
