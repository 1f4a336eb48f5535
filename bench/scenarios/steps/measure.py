"""The conversation that weighs one cell in one process: what is asked of a worker, and in which order.

It knows no process: `ask` sends a request and returns the answer's value, so that a test can hold the
conversation with a fake. The order is forced: parity and score come before timing, so that no figure is taken
of a wrong result, and the peaks are reset in between, so that the oracle's arrays are not booked on the model.
Between `get_ready` and `finish` come the turns (`bench.run.turns`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import msgspec

from weighbridge.bench.core.arrays import Facts
from weighbridge.bench.core.backend import Cost
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.effort import Effort
from weighbridge.bench.core.process import Process
from weighbridge.bench.core.record import Parity, Record
from weighbridge.bench.measure import clock, statistics
from weighbridge.bench.measure.parity import EXACT_DECISIONS
from weighbridge.bench.scenarios.base import A, Ask, ImplausibleError, ParityError, Phase, Request
from weighbridge.bench.scenarios.steps.requests import (
    RAN_ON,
    Block,
    BlockTimes,
    Check,
    Close,
    Control,
    Count,
    Energy,
    First,
    Memory,
    Opened,
    Score,
    Settle,
    Suspect,
)

MOST_QUEUED = 10_000
MOVED_ASIDE = "moved_aside"


class Weighing:
    """What is learned so far of one cell, kept even where the rest fails.

    One `Weighing` goes through all processes of its cell: `begin` starts each.
    """

    def __init__(self, cell: Cell, effort: Effort, phase: Phase) -> None:
        self.cell, self.effort, self.phase = cell, effort, phase
        self.ask: Ask = _not_open
        self.processes: list[Process] = []
        self.parity: Parity | None = None
        self.score: dict[str, float | None] | None = None
        self.cost: Cost | None = None
        self.counted = False
        self.facts: Facts = {}
        self.environment: Facts = {}
        self.items = 0
        self.item = ""
        self.repeats = 1
        self.peaks_since, self.meter = "opening", ""
        self.fastest_s = math.inf
        self.checks_s: list[float] = []

    def begin(self, ask: Ask, opened: Opened) -> None:
        """A worker has opened the cell; `opened` is its answer."""
        self.ask = ask
        self.environment, self.items, self.item = opened.environment, opened.items, opened.item
        self.processes.append(Process(import_bytes=opened.import_bytes))
        self.clock_cost_s, self.meter = opened.clock_cost_s, opened.energy_meter

    @property
    def now(self) -> Process:
        """Return what the open process gave."""
        return self.processes[-1]

    def get_ready(self) -> None:
        """Everything before the first timed block. What one process has shown for all is not asked of the next."""
        self.first()
        self.check()
        if self.score is None and self.effort.thorough:
            self.take_score()
        self.peaks_since = "steady state" if self.ask(Settle()).device_reset else "opening"
        self.warm()

    def first(self) -> None:
        """The first step, with compilation: cold in the first process, from the cache in the second."""
        self.phase("compiling")
        answer, now = self.ask(First()), self.now
        now.first_s, now.compiled, now.first_peak_bytes = answer.first_s, answer.compiles, answer.peak

    def check(self) -> None:
        """Parity; a failure ends the weighing here. The worst of all processes is kept."""
        self.phase("checking")
        answer = self.ask(Check())
        self.checks_s, parity = list(answer.step_s), answer.parity
        before = self.parity
        if before is None or not parity.passed or (parity.ratio or 0) > (before.ratio or 0):
            self.parity = msgspec.structs.replace(parity, controls=before.controls if before else None)
        if not parity.passed:
            raise ParityError(parity)

    def take_score(self) -> None:
        """The task's figures."""
        self.phase("scoring")
        answer = self.ask(Score())
        if not answer.score:
            return
        self.score = {name: _finite(value) for name, value in answer.score.items()}
        self.note({"score_measured": answer.measured})
        self.tell_moved(answer.moved_aside)

    def warm(self) -> None:
        """Steps until they no longer get faster, or the cap. Those that parity was shown of are the first of them."""
        self.phase("warming up")
        warmup = self.checks_s
        while not statistics.is_warm(warmup) and sum(warmup) * self.repeats < self.effort.warm_cap_s:
            warmup += self.ask(Block(steps=1 if len(warmup) < 2 else 3)).samples
        self.repeats = clock.repeats_for(min(warmup), self.clock_cost_s)
        self.now.warmup_s = warmup
        self.fastest_s = min(warmup)

    def block(self) -> float:
        """One turn, a block of synchronised steps and one of queued ones: the seconds that it timed."""
        steps = self._steps_a_block()
        found = self._timed(Block(steps=steps, repeats=self.repeats, lead_in=self._lead_in(steps)))
        samples, now = found.samples, self.now
        now.step_s += samples
        now.blocks.append(len(samples))
        now.minor_faults.append(found.faults)
        now.crowded.append(False)
        return sum(samples) * self.repeats + self.queued(steps)

    def beside(self, crowded: bool, slowdown: float | None) -> None:
        """Whether the last turn had a busy neighbour, and how slow the processors were around it, if anybody knows."""
        self.now.crowded[-1] = crowded
        self.now.slowdown += [] if slowdown is None else [slowdown]

    def crowded(self) -> bool:
        """Whether the last turn had."""
        return bool(self.now.crowded and self.now.crowded[-1])

    def _timed(self, request: Block) -> BlockTimes:
        """A block whose outputs are those that were checked; raises ImplausibleError where they are not."""
        found = self.ask(request)
        if found.differs:
            raise ImplausibleError(found.differs)
        return found

    def block_medians(self) -> list[float]:
        """Median step of each block of this process; NaN where it had a busy neighbour."""
        now = self.now
        return statistics.without([statistics.block_medians(now.step_s, now.blocks)], [now.crowded])[0]

    def step_s(self) -> list[float]:
        """Every timed step of all processes."""
        return [seconds for process in self.processes for seconds in process.step_s]

    def finish(self) -> None:
        """Ask what comes after the turns, and end this process."""
        self.energy()
        self.memory()
        self.suspect()
        self.count()
        self.control()
        self.ask(Close())

    def queued(self, steps: int) -> float:
        """A block of queued steps: throughput. A step that is longer than a block has nothing to gain from a queue."""
        steps = min(steps * self.repeats, MOST_QUEUED)
        if steps == 1:
            return 0.0
        found = self._timed(Block(steps=steps, mode="queued", lead_in=max(1, self._lead_in(steps)))).samples
        self.now.queued_step_s += found
        return steps * found[0]

    def suspect(self) -> None:
        """Looks for answers that are remembered or not done, once a cell; raises ImplausibleError where there are."""
        if len(self.processes) == 1 and self.effort.thorough:
            self.phase("doubting")
            reason = self.ask(Suspect(step_s=statistics.median(self.now.step_s)))
            if reason:
                raise ImplausibleError(reason)

    def energy(self) -> None:
        """Joules a step, where the hardware counts them."""
        if self.meter:
            self.phase("counting joules")
            steps = max(1, min(self._steps_a_block() * self.repeats, MOST_QUEUED))
            self.now.energy_j_per_step = self.ask(Energy(steps=steps))
            self.note({"energy_meter": self.meter})

    def memory(self) -> None:
        """Peaks and facts; raises ImplausibleError where it ran on another device than it was to."""
        answer, now = self.ask(Memory()), self.now
        now.host_peak_bytes, now.device_peak_bytes = answer.host_peak_bytes, answer.device_peak_bytes
        now.device_reserved_bytes, now.device_process_bytes = answer.device_reserved_bytes, answer.device_process_bytes
        since = {} if answer.device_peak_bytes is None else {"device_peaks_since": self._since()}
        self.note({**answer.facts, **since})
        if (ran_on := answer.facts.get(RAN_ON)) not in (None, self.cell.device):
            raise ImplausibleError(f"it ran on {str(ran_on)[:80]}, not on {self.cell.device}")

    def _since(self) -> str:
        from_cache = self.peaks_since == "opening" and len(self.processes) > 1
        return "opening, programs compiled before" if from_cache else self.peaks_since

    def count(self) -> None:
        """Operations and bytes, once a cell; what cannot be counted costs the record nothing else."""
        if not self.counted and self.effort.thorough:
            self.phase("counting")
            self.cost, self.counted = self.ask(Count()), True

    def control(self) -> None:
        """Mistakes that the check of parity must see, once a cell, at precisions whose rounding hides none."""
        exact = self.cell.precision in EXACT_DECISIONS
        if self.effort.controls and exact and self.parity and self.parity.controls is None:
            self.phase("making mistakes")
            self.parity = msgspec.structs.replace(self.parity, controls=self.ask(Control()))

    def note(self, facts: Facts) -> None:
        """Adds facts to those known."""
        self.facts |= facts

    def tell_moved(self, files: Sequence[str]) -> None:
        """Notes files of the cache that were damaged, moved aside and made anew."""
        if files:
            self.note({MOVED_ASIDE: [*self.facts.get(MOVED_ASIDE, []), *files]})

    def _steps_a_block(self) -> int:
        step_s = max(self.fastest_s * self.repeats, 1e-9)
        return max(1, min(self.effort.longest_block, int(self.effort.block_s / step_s)))

    def _lead_in(self, steps: int) -> int:
        """Untimed steps after a stop, which leaves caches cold: a tenth of the block, none where one step is long."""
        return steps * self.repeats // 10

    def record(self, **more: Any) -> Record:
        """The record of what was learned, with `more` fields."""
        return Record(
            cell=self.cell,
            tier=self.effort.name,
            processes=self.processes,
            items_per_step=self.items,
            item=self.item,
            score=self.score or {},
            parity=self.parity,
            cost=self.cost,
            facts=self.facts,
            environment=self.environment,
            **more,
        )


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _not_open(request: Request[A], /) -> A:
    raise RuntimeError(f"no worker is open for {request}")
