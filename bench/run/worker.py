"""`python -m bench.run.worker PARENT DESCRIPTOR`: answers requests for one cell, in JSON lines over a pipe of its own.

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

import numpy as np

from bench.core.arrays import Arrays
from bench.core.backend import Backend, Session
from bench.core.cell import Cell
from bench.core.task import Task
from bench.measure import allocator, clock, energy, environment, memory, parity, suspicion
from bench.run import prepare, registry, serving
from bench.run.protocol import Answer, Open, Prepare, WorkerRequest, answered, request_decoder
from bench.scenarios.serve.answer import Service
from bench.scenarios.serve.requests import Audit, Offline, Serve, Stage, Stream
from bench.scenarios.steps.answer import batches
from bench.scenarios.steps.requests import (
    Block,
    BlockTimes,
    Check,
    Checked,
    Close,
    Count,
    Energy,
    First,
    FirstStep,
    Memory,
    MemoryPeaks,
    Opened,
    Score,
    Settle,
    Settled,
    Suspect,
)
from bench.scenarios.varying_shapes.answer import Churning
from bench.scenarios.varying_shapes.requests import Churn
from bench.storage import prepared, score_cache
from bench.storage.prepared import Artefacts


class Worker:
    """State of one worker process: at most one open session."""

    def __init__(self, tell: Callable[[Answer], None]) -> None:
        self.tell = tell
        self.oom_signs: tuple[str, ...] = ()
        self.cell: Cell
        self.task: Task
        self.backend: Backend
        self.session: Session
        self.artefacts: Artefacts
        self.files: dict[str, Path]
        self.rows: Arrays = {}
        self.xs: list[Any] = []
        self.xs_first_token: list[Any] = []
        self.first_y: Any = None
        self.checked: list[Arrays] = []
        """Of each batch, some of the outputs that parity was shown of."""
        self.service: Service
        self.meters: list[energy.Counter] = []

    def answer(self, request: WorkerRequest) -> object:
        """Dispatch on the request's type."""
        match request:
            case Prepare():
                return self.prepare(request)
            case Open():
                return self.open(request)
            case First():
                return self.first()
            case Check():
                return self.check()
            case Score():
                return score_cache.remembered(self.cell, self.task, self.backend, self.artefacts.folder, self.score)
            case Settle():
                clock.forget_garbage()
                return Settled(reset=memory.reset_host_peak(), device_reset=self.session.forget_peaks())
            case Block():
                return self.block(request)
            case Suspect(step_s=step_s):
                fresh = suspicion.fresh_batches(self.rows, self.cell.batch_size)
                return suspicion.reason(self.session, self.xs[0], fresh, step_s)
            case Energy(steps=steps):
                return energy.per_step(self.meters, lambda: self._queued(steps))
            case Memory():
                return self.memory()
            case Count():
                return self.session.cost(self.xs[0])
            case Stage():
                examples = self.task.data(self.files, "eval", self.cell.preset)
                self.service = Service(self.cell, self.backend, self.task, self.session, examples)
                return self.service.reply(request)
            case Churn():
                rows = self.task.varying(self.files, self.cell.preset) if self.task.varying else []
                return Churning(self.cell, self.session, rows).churn(request)
            case Stream() | Offline() | Serve() | Audit():
                return self.service.reply(request)
            case Close():
                self.session.close()
                return None

    def prepare(self, request: Prepare) -> Artefacts:
        """Make the group's artefacts; progress is that of training, where there is any."""
        reference = registry.reference(request.reference.module, request.reference.name)
        task = registry.task(request.task.module, request.task.name)
        self.oom_signs = reference.oom_signs
        made = prepare.ensure(request.root, task, request.cell, request.files, reference, self._progress)
        prepared.remember(request.root, request.task, request.cell, request.files, request.reference, made)
        return made

    def open(self, request: Open) -> Opened:
        """Load, stage, and tell the environment."""
        self.cell, self.files, self.artefacts = request.cell, request.files, request.artefacts
        self.task = registry.task(request.task, self.cell.task)
        self.backend = registry.backend(request.backend, self.cell.backend)
        self.oom_signs = self.backend.oom_signs
        model = self.task.models[self.cell.preset]
        for name in self.backend.imports(model):
            importlib.import_module(name)
        imported = memory.resident_bytes()
        self.session = self.backend.open(model, self.artefacts.weights, self.cell)
        self.rows = self.artefacts.rows()
        batches = prepared.turned(self.rows, self.cell.batch_size)
        self.xs = [self.session.put(batch) for batch in batches]
        if self.cell.scenario == "generate":
            self.xs_first_token = [self.session.put({**batch, "new_tokens": np.array(1)}) for batch in batches]
        self.meters = energy.counters(self.cell.device)
        return Opened(
            energy_meter=", ".join(meter.name for meter in self.meters),
            environment=environment.describe(self.backend.distributions),
            items=self._items(batches[0]),
            clock_cost_s=clock.clock_cost_s(self.session),
            import_bytes=imported,
        )

    def _items(self, batch: Arrays) -> int:
        size = self.cell.batch_size
        return size * int(batch["new_tokens"]) if self.cell.scenario == "generate" else size

    def first(self) -> FirstStep:
        """The first step, whether it is one that compiles, and the peak until its end."""
        first_s, self.first_y = clock.first_step(self.session, self.xs[0])
        return FirstStep(first_s=first_s, compiles=self.backend.compiles, peak=memory.host_peak_bytes())

    def check(self) -> Checked:
        """Parity on all batches that will be timed, taken together: of one small batch alone the reference's own error
        is a few figures, and a ratio to it chance. Some of the outputs are kept for the timed ones."""
        size = self.cell.batch_size
        reference, oracle = (
            prepared.turned(each, size) for each in (self.artefacts.reference(), self.artefacts.oracle())
        )
        decision = self.task.decision if self.cell.scenario == "infer" else ""
        self.checked = []
        judged: list[Arrays] = []
        step_s: list[float] = []
        for x, batch, expected in zip(self.xs, prepared.turned(self.rows, size), oracle, strict=True):
            y, self.first_y = self.first_y, None  # of the first batch, where the first step was taken
            if y is None:
                timed = clock.latency_block(self.session, [x], 1)
                step_s += timed.samples
                y = timed.last
            outputs = self.session.get(y)
            self.checked.append(suspicion.sample(outputs))
            judged.append(self._on_the_oracles_text(outputs, batch, expected))
        out, theirs, right = (prepared.joined(each) for each in (judged, reference, oracle))
        return Checked(parity=parity.judge(out, theirs, right, decision, self.cell.precision), step_s=step_s)

    def _on_the_oracles_text(self, outputs: Arrays, batch: Arrays, oracle: Arrays) -> Arrays:
        """Of a generation whose text parts from the oracle's: what was timed up to there, and then what follows it."""
        if self.cell.scenario != "generate" or np.array_equal(outputs.get("tokens", ()), oracle["tokens"]):
            return outputs
        followed = self._outputs(self.session.put(prepare.followed(batch, oracle)))
        return parity.one_text(outputs, followed, oracle["tokens"])

    def _outputs(self, x: Any) -> Arrays:
        y = self.session.step(x)
        self.session.sync(y)
        return self.session.get(y)

    def score(self) -> dict[str, float]:
        """The task's figures over the eval split, at the cell's own batch size so that nothing recompiles."""
        examples = self.task.data(self.files, "eval", self.cell.preset)
        digests: list[Arrays] = []
        for inputs, targets in batches(examples.inputs, examples.targets, self.cell.batch_size):
            y = self.session.step(self.session.put(inputs))
            self.session.sync(y)
            kept = len(next(iter(targets.values())))
            outputs = {name: array[:kept] for name, array in self.session.get(y).items()}
            digests.append(self.task.digest(outputs, targets))
            self._progress(min(1.0, len(digests) * self.cell.batch_size / len(examples)))
        joined = {name: np.concatenate([digest[name] for digest in digests]) for name in digests[0]}
        return {name: float(value) for name, value in self.task.score(joined).items()}

    def block(self, request: Block) -> BlockTimes:
        """Time one block."""
        xs = self.xs_first_token if request.mode == "first_token" else self.xs
        clock.lead_in(self.session, xs, request.lead_in)
        if request.mode == "queued":
            timed = clock.queued_block(self.session, xs, request.steps)
        else:
            timed = clock.latency_block(self.session, xs, request.steps, request.repeats)
        return BlockTimes(samples=timed.samples, faults=timed.faults, differs=self._differs(timed, request.mode))

    def _differs(self, timed: clock.Timed, mode: str) -> str:
        """In what the last timed outputs are not those that were checked; empty where in nothing."""
        if not self.checked or mode == "first_token":
            return ""
        found = suspicion.sample(self.session.get(timed.last))
        return suspicion.difference(found, self.checked[timed.of], self.cell.precision)

    def _queued(self, steps: int) -> int:
        clock.queued_block(self.session, self.xs, steps)
        return steps

    def memory(self) -> MemoryPeaks:
        """Peaks since the last `settle`, and facts."""
        return MemoryPeaks(
            host_peak_bytes=memory.host_peak_bytes(),
            device_peak_bytes=self.session.device_peak_bytes(),
            device_reserved_bytes=self.session.device_reserved_bytes(),
            device_process_bytes=memory.device_process_bytes(),
            facts={
                "affinity": environment.usable_cpus(),
                "host_allocator": allocator.effective(),
                "fault_cost_s": memory.fault_cost_s(),
                "camp": self.backend.camp,
                **self.session.facts(),
            },
        )

    def _progress(self, fraction: float) -> None:
        self.tell(Answer(progress=fraction))


def failure_kind(error: BaseException, oom_signs: tuple[str, ...]) -> str:
    """`oom` where memory ran out, else `crashed`."""
    text = str(error)
    full = isinstance(error, MemoryError) or memory.says_full(text) or any(sign in text for sign in oom_signs)
    return "oom" if full else "crashed"


def serve(requests: TextIO, pipe: TextIO) -> None:
    """Answers requests until `close`, the end of the input, or a failure."""

    tell = partial(serving.tell, pipe)
    worker = Worker(tell)
    for line in requests:
        request = request_decoder.decode(line)
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
