"""Writes an export, or opens one by its files alone and is judged: `bench.run.exporter PARENT DESCRIPTOR`, a child.

One process does one of the two: what opens an export must not remember how it was written.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from weighbridge.bench.core.backend import Written
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.measure import environment, memory, parity
from weighbridge.bench.run import prepare, registry, serving
from weighbridge.bench.run.protocol import path_from
from weighbridge.bench.run.worker import Worker, serve
from weighbridge.bench.scenarios.base import Request
from weighbridge.bench.scenarios.catalog import scenario
from weighbridge.bench.scenarios.steps.requests import Close, Score, Scored
from weighbridge.bench.storage.exports import Port, Proof, ports
from weighbridge.bench.storage.prepared import Prepared


class Export(msgspec.Struct, frozen=True, kw_only=True):
    """A cell's model in a format, and the folder that holds its files, or is to hold them."""

    cell: Cell
    task: str
    """The module that defines it."""
    backend: str
    """The module that defines it."""
    prepared: Prepared
    files: dict[str, Path]
    form: str
    folder: Path


class Write(Request[Written], frozen=True, tag="write"):
    """Write a model into an empty folder."""

    export: Export


class Reopened(msgspec.Struct, frozen=True, kw_only=True):
    """An export that is open."""

    inputs: list[Port]
    versions: dict[str, str]


class Reopen(Request[Reopened], frozen=True, tag="reopen"):
    """Open what was written, to be judged by what the reference has left."""

    export: Export


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """A proof, and what came out."""

    proof: Proof
    outputs: list[Port]


class Prove(Request[Proven], frozen=True, tag="prove"):
    """Judge the outputs on the fixed rows, so many at a time."""

    rows: int


Asked: Any = Write | Reopen | Prove | Score | Close
decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Asked, dec_hook=path_from)


class Exporter(Worker):
    """A worker whose session, where it has one, is of files that were exported."""

    def answer(self, request: Any) -> object:
        """Dispatch on the request's type."""
        match request:
            case Write(export=export):
                return self.write(export)
            case Reopen(export=export):
                return self.reopen(export)
            case Prove(rows=rows):
                return self.prove(rows)
            case _:
                return scenario(self.cell.scenario).answering(self).answer(request)

    def write(self, asked: Export) -> Written:
        """What the backend says of it."""
        self._begin(asked)
        model = self.task.models[self.cell.preset]
        for name in self.backend.imports(model):
            importlib.import_module(name)
        weights, batch = self.prepared.weights, self.prepared.rows()
        return self.backend.export(model, weights, self.cell, batch, asked.form, asked.folder)

    def reopen(self, asked: Export) -> Reopened:
        """Nothing is imported that the files do not need."""
        self._begin(asked)
        self.rows = self.prepared.rows()
        model = self.task.models[self.cell.preset]
        self.session = self.backend.reopen(asked.folder, asked.form, model, self.cell)
        return Reopened(inputs=ports(self.rows), versions=environment.versions(self.backend.distributions))

    def _begin(self, asked: Export) -> None:
        self.cell, self.files, self.prepared = asked.cell, asked.files, asked.prepared
        self.task = registry.task(asked.task, self.cell.task)
        self.backend = registry.backend(asked.backend, self.cell.backend)
        self.oom_signs = self.backend.oom_signs

    def prove(self, rows: int) -> Proven:
        """All fixed rows are judged together, however they are cut: of few the reference's own error is chance."""
        found = prepare.outputs_of(self.session, self.rows, rows)
        judged = parity.judge(found, self.reference(), self.oracle(), self.task.decision, self.cell.precision)
        return Proven(proof=Proof(rows=rows, parity=judged), outputs=ports(found))

    def remembered(self, measure: Callable[[], dict[str, float]]) -> Scored:
        """The score of these files, and not one of before."""
        return Scored(score=dict(measure()), measured="")


if __name__ == "__main__":
    answers = serving.begin()
    memory.bound_host()
    serve(sys.stdin, answers, Exporter, decoder)
