"""The worker's end of timed steps: an open session, its staged batches, and what is asked of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from weighbridge.bench.core.arrays import Arrays
from weighbridge.bench.core.backend import Backend, Session
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.record import Controls
from weighbridge.bench.core.task import Examples, Task
from weighbridge.bench.measure import allocator, clock, controls, energy, environment, memory, parity, suspicion
from weighbridge.bench.scenarios.steps.batches import joined, padded_batches, turned
from weighbridge.bench.scenarios.steps.requests import (
    RAN_ON,
    Block,
    BlockTimes,
    Check,
    Checked,
    Close,
    Control,
    Count,
    Energy,
    First,
    FirstStep,
    Memory,
    MemoryPeaks,
    Opened,
    Score,
    Scored,
    Settle,
    Settled,
    StepsRequest,
    Suspect,
)


class Measured(Protocol):
    """Measures the task's figures."""

    def __call__(self) -> dict[str, float]: ...


class Host(Protocol):
    """What a scenario finds in its worker: an open session, and what it was opened of."""

    cell: Cell
    task: Task
    files: dict[str, Path]
    backend: Backend
    session: Session
    rows: Arrays
    """The fixed rows that every backend of the group is fed, cut into batches by `turned`."""

    def reference(self) -> Arrays:
        """The reference's outputs on those rows at the cell's precision."""
        ...

    def oracle(self) -> Arrays:
        """The reference's outputs on those rows in float64."""
        ...

    def examples(self) -> Examples:
        """The eval split."""
        ...

    def varying(self) -> list[Arrays]:
        """The task's examples in their natural lengths; none where all have one shape."""
        ...

    def remembered(self, measure: Measured) -> Scored:
        """A score that was measured before by the same code on the same data, or that `measure` gives now."""
        ...

    def progress(self, fraction: float) -> None:
        """Tells the parent how far this is, 0 to 1."""
        ...


class StepsAnswers:
    """Answers what a parent asks of timed steps: `infer` as it stands. Others override what differs."""

    def __init__(self, host: Host) -> None:
        self.host, self.session, self.cell = host, host.session, host.cell
        self.batches = turned(host.rows, self.cell.batch_size)
        self.xs = [self.session.to_device(batch) for batch in self.batches]
        self.first_y: Any = None
        self.checked: list[Arrays] = []
        """Of each batch, some of the outputs that parity was shown of."""
        self.meters: list[energy.Counter] = []

    def opened(self, import_bytes: int | None) -> Opened:
        """Return what the parent hears first."""
        clock_cost_s = clock.clock_cost_s(self.session)
        self.meters = energy.counters(self.cell.device)
        return Opened(
            energy_meter=", ".join(meter.name for meter in self.meters),
            environment=environment.describe(self.host.backend.distributions),
            items=self.items(),
            clock_cost_s=clock_cost_s,
            import_bytes=import_bytes,
            item=self.item(),
        )

    def item(self) -> str:
        """Return what a step's items are; empty where they are the task's examples."""
        return ""

    def items(self) -> int:
        """Return how many one step takes."""
        return self.cell.batch_size

    def answer(self, request: StepsRequest) -> object:
        """Dispatch on the request's type."""
        match request:
            case First():
                return self.first()
            case Check():
                return self.check()
            case Score():
                return self.host.remembered(self.score)
            case Settle():
                clock.forget_garbage()
                return Settled(reset=memory.reset_host_peak(), device_reset=self.session.reset_peak_memory())
            case Block():
                return self.block(request)
            case Suspect(step_s=step_s):
                fresh = suspicion.fresh_batches(self.host.rows, self.cell.batch_size)
                return suspicion.reason(self.session, self.xs[0], fresh, step_s, self.cell.device)
            case Energy(steps=steps):
                return energy.per_step(self.meters, lambda: self._queued(steps))
            case Memory():
                return self.memory()
            case Count():
                return self.session.cost(self.xs[0])
            case Control():
                return self.control()
            case Close():
                self.session.close()
                return None

    def first(self) -> FirstStep:
        """The first step, whether it is one that compiles, and the peak until its end."""
        first_s, self.first_y = clock.first_step(self.session, self.xs[0])
        return FirstStep(first_s=first_s, compiles=self.host.backend.compiles, peak=memory.host_peak_bytes())

    def check(self) -> Checked:
        """Parity on all batches that will be timed, taken together: of one small batch alone the reference's own error
        is a few figures, and a ratio to it chance. Some of the outputs are kept for the timed ones."""
        reference, oracle = (turned(each, self.cell.batch_size) for each in self._expected())
        self.checked = []
        judged: list[Arrays] = []
        step_s: list[float] = []
        for x, batch, expected in zip(self.xs, self.batches, oracle, strict=True):
            y, self.first_y = self.first_y, None  # of the first batch, where the first step was taken
            if y is None:
                timed = clock.latency_block(self.session, [x], 1)
                step_s += timed.samples
                y = timed.last
            outputs = self.session.to_host(y)
            self.checked.append(suspicion.sample(outputs))
            judged.append(self.comparable(outputs, batch, expected))
        out, theirs, right = (joined(each) for each in (judged, reference, oracle))
        return Checked(parity=parity.judge(out, theirs, right, self.decision(), self.cell.precision), step_s=step_s)

    def control(self) -> Controls | None:
        """What the check says of the backend's mutants; a generation's forward pass has a cell of its own."""
        reference, oracle = (joined(turned(each, self.cell.batch_size)) for each in self._expected())
        return controls.controls(
            self.session,
            self.xs,
            lambda outputs: (
                parity.judge(joined(outputs), reference, oracle, self.decision(), self.cell.precision).passed
            ),
        )

    def decision(self) -> str:
        """The output whose argmax must be the reference's; empty where there is none."""
        return self.host.task.decision

    def comparable(self, outputs: Arrays, batch: Arrays, oracle: Arrays) -> Arrays:
        """Outputs as they are held to the oracle's."""
        return outputs

    def _expected(self) -> tuple[Arrays, Arrays]:
        return self.host.reference(), self.host.oracle()

    def outputs(self, x: Any) -> Arrays:
        """Return the outputs of a step of their own, on the host."""
        y = self.session.step(x)
        self.session.sync(y)
        return self.session.to_host(y)

    def score(self) -> dict[str, float]:
        """The task's figures over the eval split, at the cell's own batch size so that nothing recompiles."""
        task = self.host.task
        return self.scored(self.host.examples(), task.digest, task.score)

    def scored(
        self,
        examples: Examples,
        digest: Callable[[Arrays, Arrays], Arrays],
        score: Callable[[Arrays], dict[str, float]],
    ) -> dict[str, float]:
        """Step through all examples, and score the digests of what comes out beside their targets."""
        digests: list[Arrays] = []
        for inputs, targets in padded_batches(examples.inputs, examples.targets, self.cell.batch_size):
            kept = min(self.cell.batch_size, len(examples) - len(digests) * self.cell.batch_size)
            outputs = {name: array[:kept] for name, array in self.outputs(self.session.to_device(inputs)).items()}
            digests.append(digest(outputs, targets))
            self.host.progress(min(1.0, len(digests) * self.cell.batch_size / len(examples)))
        whole = {name: np.concatenate([part[name] for part in digests]) for name in digests[0]}
        return {name: float(value) for name, value in score(whole).items()}

    def block(self, request: Block) -> BlockTimes:
        """Time one block."""
        xs = self.timed_xs(request.mode)
        clock.lead_in(self.session, xs, request.lead_in)
        if request.mode == "queued":
            timed = clock.queued_block(self.session, xs, request.steps)
        else:
            timed = clock.latency_block(self.session, xs, request.steps, request.repeats)
        differs = "" if xs is not self.xs else self._differs(timed)
        return BlockTimes(samples=timed.samples, faults=timed.faults, differs=differs)

    def timed_xs(self, mode: str) -> list[Any]:
        """Return what a mode steps through."""
        return self.xs

    def _differs(self, timed: clock.Timed) -> str:
        """Say in what the last timed outputs are not those that were checked; empty where in nothing."""
        if not self.checked:
            return ""
        found = suspicion.sample(self.session.to_host(timed.last))
        return suspicion.difference(found, self.checked[timed.of], self.cell.precision)

    def _queued(self, steps: int) -> int:
        clock.queued_block(self.session, self.xs, steps)
        return steps

    def length(self) -> dict[str, int]:
        """Positions of each row, where a task has rows of several lengths."""
        if self.host.task.varying is None:
            return {}
        return {"length": next(array.shape[1] for array in self.host.rows.values() if array.ndim > 1)}

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
                "camp": self.host.backend.camp,
                **self.length(),
                RAN_ON: None,
                **self.session.facts(),
            },
        )
