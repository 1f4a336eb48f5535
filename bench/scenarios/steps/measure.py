"""The conversation that weighs one cell in one process: what is asked of a worker, and in which order.

It knows no process: `ask` sends a request and returns the answer's value, so that a test can hold the
conversation with a fake. The order is forced: parity and score come before timing, so that no figure is taken
of a wrong result, and the peaks are reset in between, so that the oracle's arrays are not booked on the model.
Between `get_ready` and `finish` come the turns (`bench.run.turns`).
"""

from __future__ import annotations

import math
from typing import Any

from bench.core.cell import Cell
from bench.core.effort import Tier
from bench.core.record import Parity, Record
from bench.measure import clock, statistics
from bench.scenarios.base import A, Ask, ImplausibleError, ParityError, Phase, Request
from bench.scenarios.steps.requests import (
    Block,
    BlockTimes,
    Check,
    Close,
    Count,
    Energy,
    First,
    Memory,
    Opened,
    Score,
    Settle,
    Suspect,
)

PEAKS = ("host_peak_bytes", "device_peak_bytes", "device_reserved_bytes", "device_process_bytes")
A_PROCESS = ("blocks", "queued_blocks", "minor_faults", "crowded")
"""Fields that hold an entry a process."""
MOST_QUEUED = 10_000


class Weighing:
    """What is learned so far of one cell; `fields` are those of `Record`, kept even where the rest fails.

    One `Weighing` goes through all processes of its cell: `begin` starts each.
    """

    def __init__(self, cell: Cell, tier: Tier, phase: Phase) -> None:
        self.cell, self.tier, self.phase = cell, tier, phase
        self.ask: Ask = _not_open
        self.fields: dict[str, Any] = {
            "tier": tier.name, **{name: [] for name in ("warmup_s", "step_s", *A_PROCESS)}, "queued_step_s": [],
        }  # fmt: skip
        self.repeats = 1
        self.peaks_since, self.meter = "opening", ""
        self.joules: list[float] = []
        self.fastest_s = math.inf
        self.checks_s: list[float] = []

    def begin(self, ask: Ask, opened: Opened) -> None:
        """A worker has opened the cell; `opened` is its answer."""
        self.ask = ask
        self.fields |= {"environment": opened.environment, "items_per_step": opened.items}
        self._raise_to("host_import_bytes", opened.import_bytes)
        self.clock_cost_s, self.meter = opened.clock_cost_s, opened.energy_meter

    def get_ready(self) -> None:
        """Everything before the first timed block. What one process has shown for all is not asked of the next."""
        self.first()
        self.check()
        if "score" not in self.fields and self.tier.thorough:
            self.score()
        self.peaks_since = "steady state" if self.ask(Settle()).device_reset else "opening"
        self.warm()
        for name in A_PROCESS:
            self.fields[name].append(0 if name == "queued_blocks" else [])

    def first(self) -> None:
        """The first step, with compilation: cold in the first process, from the cache in the second."""
        self.phase("compiling")
        answer = self.ask(First())
        if "compile_s" not in self.fields:
            self.fields |= {"compile_s": answer.first_s, "compile_host_peak_bytes": answer.peak}
        elif answer.compiles:
            self.fields.setdefault("warm_compile_s", answer.first_s)

    def check(self) -> None:
        """Parity; a failure ends the weighing here. The worst of all processes is kept."""
        self.phase("checking")
        answer = self.ask(Check())
        self.checks_s, parity = list(answer.step_s), answer.parity
        before: Parity | None = self.fields.get("parity")
        if before is None or not parity.passed or (parity.ratio or 0) > (before.ratio or 0):
            self.fields["parity"] = parity
        if not parity.passed:
            raise ParityError(parity)

    def score(self) -> None:
        """The task's figures; only what is inferred is scored, tokens are judged by parity."""
        if self.cell.scenario == "infer":
            self.phase("scoring")
            answer = self.ask(Score())
            self.fields["score"] = {name: _finite(value) for name, value in answer.score.items()}
            self.note({"score_measured": answer.measured})

    def warm(self) -> None:
        """Steps until they no longer get faster, or the cap. Those that parity was shown of are the first of them."""
        self.phase("warming up")
        warmup = self.checks_s
        while not statistics.is_warm(warmup) and sum(warmup) * self.repeats < self.tier.warm_cap_s:
            warmup += self.ask(Block(steps=1 if len(warmup) < 2 else 3)).samples
        self.repeats = clock.repeats_for(min(warmup), self.clock_cost_s)
        self.fields["warmup_s"] += warmup
        self.fastest_s = min(warmup)

    def block(self) -> float:
        """One turn, a block of synchronised steps and one of queued ones: the seconds that it timed."""
        steps = self._steps_a_block()
        found = self._timed(Block(steps=steps, repeats=self.repeats, lead_in=self._lead_in(steps)))
        samples = found.samples
        self.fields["step_s"] += samples
        self.fields["blocks"][-1].append(len(samples))
        self.fields["minor_faults"][-1].append(found.faults)
        self.fields["crowded"][-1].append(False)
        return sum(samples) * self.repeats + self.queued(steps)

    def crowd(self) -> None:
        """The last turn had a busy neighbour."""
        self.fields["crowded"][-1][-1] = True

    def crowded(self) -> bool:
        """Whether the last turn had."""
        turns = self.fields["crowded"][-1]
        return bool(turns and turns[-1])

    def _timed(self, request: Block) -> BlockTimes:
        """A block whose outputs are those that were checked; raises ImplausibleError where they are not."""
        found = self.ask(request)
        if found.differs:
            raise ImplausibleError(found.differs)
        return found

    def block_medians(self) -> list[list[float]]:
        """Median step of each block, process by process; NaN where it had a busy neighbour."""
        medians = statistics.block_medians(self.fields["step_s"], self.fields["blocks"])
        return statistics.without(medians, self.fields["crowded"])

    def finish(self) -> None:
        """What is told after the turns, and the end of this process."""
        self.first_tokens()
        self.energy()
        self.memory()
        self.suspect()
        self.count()
        self.ask(Close())

    def first_tokens(self) -> None:
        """Time to the first token, of generations that end there."""
        if self.cell.scenario == "generate":
            self.phase("timing the first token")
            self.ask(Block(steps=1, mode="first_token"))
            samples = self.ask(Block(steps=self.tier.first_tokens, mode="first_token")).samples
            self.fields["first_token_s"] = [*self.fields.get("first_token_s", []), *samples]

    def queued(self, steps: int) -> float:
        """A block of queued steps: throughput. A step that is longer than a block has nothing to gain from a queue."""
        steps = min(steps * self.repeats, MOST_QUEUED)
        if steps == 1:
            return 0.0
        found = self._timed(Block(steps=steps, mode="queued", lead_in=max(1, self._lead_in(steps)))).samples
        self.fields["queued_step_s"] += found
        self.fields["queued_blocks"][-1] += 1
        return steps * found[0]

    def suspect(self) -> None:
        """Looks for answers that are remembered or not done, once a cell; raises ImplausibleError where there are."""
        if len(self.fields["blocks"]) == 1 and self.tier.thorough:
            self.phase("doubting")
            reason = self.ask(Suspect(step_s=statistics.median(self.fields["step_s"])))
            if reason:
                raise ImplausibleError(reason)

    def energy(self) -> None:
        """Joules a step, where the hardware counts them: the median of all processes."""
        if self.meter:
            self.phase("counting joules")
            steps = max(1, min(self._steps_a_block() * self.repeats, MOST_QUEUED))
            joules = self.ask(Energy(steps=steps))
            self.joules += [] if joules is None else [joules]
            self.fields["energy_j_per_step"] = statistics.median(self.joules) if self.joules else None
            self.note({"energy_meter": self.meter})

    def memory(self) -> None:
        """Peaks, the largest of all processes; and facts.

        Those of the first process are forgotten once there is one that found its programs compiled: where a device's
        peaks cannot be reset they are of the compilation, too, and what compiling and scoring leave in a heap that
        keeps its pages is no part of a steady state (MiniLM on Flax: 343 to 377 MiB with it, 320 without).
        """
        answer = self.ask(Memory())
        if len(self.fields["blocks"]) == 2:
            self.fields |= dict.fromkeys(PEAKS)
        for name in PEAKS:
            self._raise_to(name, getattr(answer, name))
        since = {} if answer.device_peak_bytes is None else {"device_peaks_since": self._since()}
        self.note({**answer.facts, **since})

    def _since(self) -> str:
        from_cache = self.peaks_since == "opening" and len(self.fields["blocks"]) > 1
        return "opening, programs compiled before" if from_cache else self.peaks_since

    def _raise_to(self, name: str, value: int | None) -> None:
        """The larger of what is known and `value`."""
        known = [each for each in (value, self.fields.get(name)) if each is not None]
        self.fields[name] = max(known, default=None)

    def count(self) -> None:
        """Operations and bytes, once a cell; what cannot be counted costs the record nothing else."""
        if "cost" not in self.fields and self.tier.thorough:
            self.phase("counting")
            self.fields["cost"] = self.ask(Count())

    def note(self, facts: dict[str, Any]) -> None:
        """Adds facts to those known."""
        self.fields["facts"] = {**self.fields.get("facts", {}), **facts}

    def _steps_a_block(self) -> int:
        step_s = max(self.fastest_s * self.repeats, 1e-9)
        return max(1, min(self.tier.longest_block, int(self.tier.block_s / step_s)))

    def _lead_in(self, steps: int) -> int:
        """Untimed steps after a stop, which leaves caches cold: a tenth of the block, none where one step is long."""
        return steps * self.repeats // 10

    def record(self, **more: Any) -> Record:
        """The record of what was learned, with `more` fields."""
        return Record(cell=self.cell, **{**self.fields, **more})


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _not_open(request: Request[A], /) -> A:
    raise RuntimeError(f"no worker is open for {request}")
