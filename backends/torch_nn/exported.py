"""Sessions that run graphs of the reference's modules in another runtime.

A graph of a forward pass takes any number of rows; where another size comes, too, one that takes any is made beside it.
Each is written once, into the run's folder of compiled programs.

Shapes: B rows, S positions, N new tokens, V vocabulary.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np

from weighbridge.backends.torch_nn.exporting import Given, Piece, Shape, Source
from weighbridge.backends.torch_nn.runtime import Decoder, FileRuntime, Graph, Runtime
from weighbridge.bench.core import Arrays, Cell, ModelSpec, Session


def session(runtime: Runtime, source: Source) -> Session:
    """The session of a cell: passes, decoding, or a model's own sampling around calls of its module."""
    if source.cell.scenario == "infer":
        return InferSession(runtime, source)
    if runtime.has_decoder(source):  # nobody need import the architecture, and with it torch
        return GenerateSession(runtime, source)
    from weighbridge.backends.torch_nn import models
    from weighbridge.backends.torch_nn.sampled import SampleSession

    sample = models.stepping(source.model, source.cell.scenario)
    return GenerateSession(runtime, source) if sample is None else SampleSession(runtime, source, sample)


class ExportedSession(Session):
    """What the scenarios share."""

    scope: ClassVar[str]
    """What one timed step holds; every backend's says the same or gets no ratio."""
    compile_scope: ClassVar[str]

    def __init__(self, runtime: Runtime, source: Source) -> None:
        self.runtime, self.source = runtime, source

    @abstractmethod
    def loaded(self) -> list[Graph | Decoder]:
        """Every graph that is ready."""

    def programs(self) -> int | None:
        """Count the graphs."""
        return sum(graph.count for graph in self.loaded())

    def facts(self) -> dict[str, Any]:
        """Effective footing, read back from the runtime."""
        found: dict[str, Any] = {"graph_breaks": 0, "donation": False, "cuda_graphs": False}
        for graph in self.loaded():
            found |= graph.facts()
        return {**found, "scope": self.scope, "compile_scope": self.compile_scope, "programs": self.programs()}


class PassingSession(ExportedSession):
    """Graphs of one function of tensors, by the shapes that they take."""

    def __init__(self, runtime: Runtime, source: Source) -> None:
        super().__init__(runtime, source)
        self.graphs: dict[Shape, Graph] = {}
        self.known: dict[Shape, Graph] = {}
        """By what was asked for: a short step has no time to search."""

    def graph(self, batch: Arrays, asked: Shape, build: Callable[[], Any]) -> Graph:
        """The graph that takes a batch of this shape, of the module that `build` makes where there is none."""
        if asked not in self.known:
            self.known[asked] = self._taking(asked) or self._made(batch, asked, build)
        return self.known[asked]

    def _taking(self, asked: Shape) -> Graph | None:
        return next((graph for shape, graph in self.graphs.items() if shape.takes(asked)), None)

    def _made(self, batch: Arrays, asked: Shape, build: Callable[[], Any]) -> Graph:
        shape = self.runtime.next_shape(list(self.graphs), asked)
        self.graphs[shape] = self.runtime.graph(self.source, Piece(batch, shape, build))
        self.source.release()
        return self.graphs[shape]

    def loaded(self) -> list[Graph | Decoder]:
        """Of every shape."""
        return list(self.graphs.values())

    def close(self) -> None:
        """Gives them back."""
        self.graphs.clear()
        self.known.clear()


class Batch(NamedTuple):
    """A batch where the runtime wants it, and on the host, for who must make a graph of it."""

    values: dict[str, Any]
    host: Arrays
    shape: Shape


class InferSession(PassingSession):
    """One forward pass a step."""

    scope = "model forward"
    compile_scope = "whole model"

    def to_device(self, batch: Arrays) -> Any:
        """Floats are float32: a graph of half precision casts its inputs."""
        host = {name: narrow(batch[name]) for name in sorted(batch)}
        return Batch({name: self.runtime.put(array) for name, array in host.items()}, host, self.runtime.shape(host))

    def step(self, x: Batch) -> Any:
        """Runs the graph."""
        return self.graph(x.host, x.shape, lambda: self.module(sorted(x.host))).run(x.values)

    def module(self, names: list[str]) -> Any:
        """What is to be a graph."""
        from weighbridge.backends.torch_nn import models, tracing

        return tracing.Passing(self.source.module, models.forward(self.source.model), names)

    def sync(self, y: dict[str, Any]) -> None:
        """Waits for each output."""
        for value in y.values():
            self.runtime.wait(value)

    def to_host(self, y: dict[str, Any]) -> Arrays:
        """As the reference names them."""
        return {name: self.runtime.get(value) for name, value in y.items()}


def export(runtime: FileRuntime, source: Source, batch: Arrays, folder: Path) -> None:
    """Write a model's forward pass as the runtime's file, for any number of rows of inputs like `batch`."""
    host = {name: narrow(batch[name]) for name in sorted(batch)}
    passing = InferSession(runtime, source).module(sorted(host))
    runtime.write_piece(Piece(host, Shape.of(host), lambda: passing), folder)


def reopened(runtime: Runtime, folder: Path, model: ModelSpec, cell: Cell) -> Session:
    """A session of the file that `export` wrote."""
    return InferSession(runtime, Given(folder, model, cell))


class Request(NamedTuple):
    """Prompts (B, S) where the runtime wants them, how many tokens, and those to be followed, each (B, 1)."""

    ids: Any
    rows: int
    prompt: int
    """Positions of each."""
    new_tokens: int
    follow: list[Any]


class Taken(NamedTuple):
    """What one step of decoding gave: the model's own choice (B, 1), all logits (B, V), and what was taken (B, 1)."""

    own: Any
    logits: Any
    token: Any


class GenerateSession(ExportedSession):
    """Greedy decoding by one graph, in a loop of Python, with a cache that grows."""

    scope = "prefill and decode"
    compile_scope = "one token"
    decoder: Decoder | None = None

    def to_device(self, batch: Arrays) -> Request:
        """Places prompts and what is to be followed."""
        prompt, count = batch["input_ids"].astype(np.int64), int(batch["new_tokens"])
        follow = batch["follow"].astype(np.int64) if "follow" in batch else prompt[:, :0]
        columns = [self.runtime.put(np.ascontiguousarray(column[:, None])) for column in follow.T]
        rows, positions = prompt.shape
        return Request(self.runtime.put(np.ascontiguousarray(prompt)), rows, positions, count, columns)

    def step(self, x: Request) -> list[Taken]:
        """Decodes as many tokens as were asked for."""
        if self.decoder is None:
            self.decoder = self.runtime.decoder(self.source)
            self.source.release()
        ids, found = x.ids, list[Taken]()
        self.decoder.begin(x.rows, x.prompt + x.new_tokens)
        for at in range(x.new_tokens):
            own, logits = self.decoder.next(ids)
            ids = x.follow[at] if x.follow else own
            found.append(Taken(own, logits, ids))
        return found

    def sync(self, y: list[Taken]) -> None:
        """Waits for the last token, which hangs on all others."""
        self.runtime.wait(y[-1].logits)

    def to_host(self, y: list[Taken]) -> Arrays:
        """Tokens (B, N), and the logit (B, N) of each that was taken."""
        own = np.concatenate([self.runtime.get(each.own) for each in y], 1)
        taken = np.concatenate([self.runtime.get(each.token) for each in y], 1)
        logits = [np.take_along_axis(self.runtime.get(each.logits), taken[:, [at]], 1) for at, each in enumerate(y)]
        return {"tokens": own, "logit": np.concatenate(logits, 1)}

    def loaded(self) -> list[Graph | Decoder]:
        """One, of prompts and of tokens."""
        return [] if self.decoder is None else [self.decoder]

    def close(self) -> None:
        """Gives it back."""
        self.decoder = None


def narrow(array: np.ndarray) -> np.ndarray:
    """The array in one piece, floats as float32."""
    return np.ascontiguousarray(array, np.float32 if array.dtype.kind == "f" else array.dtype)
