"""Answers requests for one cell, in JSON lines over a pipe of its own: `bench.run.worker PARENT DESCRIPTOR`.

The protocol is a pipe and not a pool so that the parent can hold several workers of one group open and let
them take turns, and so that a worker may die of anything without taking the run along. Answers go through a file
descriptor that only this module knows: what libraries print can never be taken for one.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import msgspec

from weighbridge.bench.core.arrays import Arrays
from weighbridge.bench.core.backend import Backend, Session
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.task import Examples, Task
from weighbridge.bench.measure import memory
from weighbridge.bench.run import prepare, registry, serving
from weighbridge.bench.run.protocol import Answer, Open, Prepare, answered, request_decoder
from weighbridge.bench.scenarios.catalog import as_opened, scenario
from weighbridge.bench.scenarios.steps.answer import Measured, StepsAnswers
from weighbridge.bench.scenarios.steps.requests import Close, Opened, Scored
from weighbridge.bench.storage import prepared, score_cache
from weighbridge.bench.storage.prepared import Prepared


class Worker:
    """State of one worker process: at most one open session."""

    def __init__(self, tell: Callable[[Answer], None]) -> None:
        self.tell = tell
        self.oom_signs: tuple[str, ...] = ()
        self.cell: Cell
        self.task: Task
        self.backend: Backend
        self.session: Session
        self.prepared: Prepared
        self.files: dict[str, Path]
        self.rows: Arrays = {}
        self.answers: StepsAnswers

    def answer(self, request: Any) -> object:
        """Dispatch on the request's type."""
        match request:
            case Prepare():
                return self.prepare(request)
            case Open():
                return self.open(request)
            case _:
                return self.answers.answer(request)

    def prepare(self, request: Prepare) -> Prepared:
        """Make the group's prepared files; progress is that of training, where there is any."""
        reference = registry.reference(request.reference.module, request.reference.name)
        task = registry.task(request.task.module, request.task.name)
        self.oom_signs = reference.oom_signs
        made = prepare.ensure(request.root, task, request.cell, request.files, reference, self.progress)
        prepared.remember(request.root, request.task, request.cell, request.files, request.reference, made)
        return made

    def open(self, request: Open) -> Opened:
        """Load, stage, and tell the environment."""
        self.cell, self.files, self.prepared = request.cell, request.files, request.prepared
        self.task = registry.task(request.task, self.cell.task)
        self.backend = registry.backend(request.backend, self.cell.backend)
        self.oom_signs = self.backend.oom_signs
        model = self.task.models[self.cell.preset]
        for name in self.backend.imports(model):
            importlib.import_module(name)
        imported = memory.resident_bytes()
        self.session = self.backend.open(model, self.prepared.weights, as_opened(self.cell))
        self.rows = self.prepared.rows()
        self.answers = scenario(self.cell.scenario).answering(self)
        return self.answers.opened(imported)

    def reference(self) -> Arrays:
        """The reference's outputs on the fixed rows at the cell's precision."""
        return self.prepared.reference()

    def oracle(self) -> Arrays:
        """The reference's outputs on the fixed rows in float64."""
        return self.prepared.oracle()

    def examples(self) -> Examples:
        """The eval split."""
        return self.task.data(self.files, "eval", self.cell.preset)

    def varying(self) -> list[Arrays]:
        """The task's examples in their natural lengths; none where all have one shape."""
        return self.task.varying(self.files, self.cell.preset) if self.task.varying else []

    def remembered(self, measure: Measured) -> Scored:
        """A score that was measured before, or now."""
        return score_cache.remembered(self.cell, self.task, self.backend, self.prepared.folder, measure)

    def progress(self, fraction: float) -> None:
        """Tells the parent how far this is, 0 to 1."""
        self.tell(Answer(progress=fraction))


def failure_kind(error: BaseException, oom_signs: tuple[str, ...]) -> str:
    """`oom` where memory ran out, else `crashed`."""
    text = str(error)
    full = isinstance(error, MemoryError) or memory.says_full(text) or any(sign in text for sign in oom_signs)
    return "oom" if full else "crashed"


def serve(
    requests: TextIO,
    pipe: TextIO,
    kind: type[Worker] = Worker,
    decoder: msgspec.json.Decoder[Any] = request_decoder,
) -> None:
    """Answers requests until `close`, the end of the input, or a failure."""

    tell = partial(serving.tell, pipe)
    worker = kind(tell)
    for line in requests:
        request = decoder.decode(line)
        try:
            tell(answered(worker.answer(request)))
        except Exception as error:  # noqa: BLE001 -- a worker's failure is a record, whatever it was
            import traceback

            traceback.print_exc()
            tell(Answer(failure=failure_kind(error, worker.oom_signs), reason=serving.one_line(error)))
            return
        if isinstance(request, Close):
            return


if __name__ == "__main__":
    answers = serving.begin()
    memory.bound_host()
    serve(sys.stdin, answers)
