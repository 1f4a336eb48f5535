"""A record with what follows from it: what every rendering shows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from weighbridge.bench.analysis.breakeven import BreakEven
from weighbridge.bench.core.cell import Pairing
from weighbridge.bench.core.record import DEFAULT_FLOOR, Parity, Record
from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.roofline import Roofline
from weighbridge.bench.measure.speeds import Speeds
from weighbridge.bench.storage.journals import Place


class Nothing(NamedTuple):
    """The bounds of an interval that is not there."""

    low: float | None = None
    high: float | None = None


class _Unproven(NamedTuple):
    """A parity that was not shown."""

    ratio: float | None = None
    limit: float | None = None
    passed: bool | None = None
    difference: float | None = None
    scale: float | None = None


class _OneSpeed(NamedTuple):
    """Of steps that have no two speeds."""

    fast: float | None = None
    slow: float | None = None


NOTHING, NO_CALLS, UNPROVEN, ONE_SPEED = Nothing(), BreakEven(), _Unproven(), _OneSpeed()
Bounds = statistics.Interval | Nothing


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A record with what follows from it. Times in seconds, memory in bytes, rates per second."""

    record: Record
    place: Place | None = None
    """Where the whole record stands, of which `record` lacks the samples; None where it lacks nothing."""
    run: str = ""
    """The name of the run's folder; empty where rows are of one run."""
    machine: str = ""
    """Where it was measured; that of the run where a record, such as a skipped cell's, does not say."""
    steps: int = 0
    """How many were timed."""
    step_s: float | None = None
    rate: float | None = None
    """Items a second: of queued steps, or of synchronised ones where a step is longer than a block."""
    rate_interval: statistics.Interval | None = None
    """Over processes; None where queued blocks were no part of the turns."""
    rate_crowded: bool = False
    """Whether every turn had a busy neighbour, so that `rate` is of such turns."""
    rate_ratio: float | None = None
    """This rate over the reference's, of queued blocks of the same turns."""
    rate_ratio_interval: statistics.Interval | None = None
    rate_verdict: statistics.Verdict | None = None
    rate_lean: statistics.Lean = ""
    first_token_s: float | None = None
    token_s: float | None = None
    """Seconds a token after the first."""
    faults: float | None = None
    """Minor page faults a step; None where they were not counted."""
    fault_share: float | None = None
    """Of the step, by what a fault costs on this machine; None where either is not known."""
    speeds: Speeds | None = None
    """Of fast and slow steps, in seconds, where they have two: the interval of the ratio then covers both."""
    reference: str = ""
    """The backend that `ratio` is to; empty where none was measured beside it."""
    ratio: float | None = None
    interval: statistics.Interval | None = None
    """Around `ratio`; None where there is no ratio, too few blocks for an interval, or it is the reference's own."""
    verdict: statistics.Verdict | None = None
    """None where there is no ratio, and of the reference."""
    lean: statistics.Lean = ""
    """Where a ratio points that is UNSURE, as that of one process a side always is."""
    camp: str = ""
    """Whose users run the reference; empty in records that do not say."""
    best: str = ""
    """The backend of the fastest right row of that camp in the group, often the reference itself."""
    best_ratio: float | None = None
    """To `best`, as `ratio` is to the reference."""
    best_interval: statistics.Interval | None = None
    best_verdict: statistics.Verdict | None = None
    """None of `best` itself."""
    best_lean: statistics.Lean = ""
    floor: float = DEFAULT_FLOOR
    """The noise floor that the verdict was held against: the larger of both records'."""
    pairing: Pairing = ""
    break_even_calls: BreakEven | None = None
    """From an empty compile cache on both sides; None where it cannot be told."""
    warm_break_even_calls: BreakEven | None = None
    """From a filled one, on the sides that have a cache."""
    roofline: Roofline | None = None
    """By what was counted on the reference; None where nothing was, or the machine's peaks are not known."""
    no_ratio: str = ""
    score: float | None = None
    gate_passed: bool = True

    @property
    def bounds(self) -> Bounds:
        """Return the ends of `ratio`'s interval."""
        return self.interval or NOTHING

    @property
    def best_bounds(self) -> Bounds:
        """Return the ends of `best_ratio`'s interval."""
        return self.best_interval or NOTHING

    @property
    def rate_bounds(self) -> Bounds:
        """Return the ends of `rate`'s interval."""
        return self.rate_interval or NOTHING

    @property
    def rate_ratio_bounds(self) -> Bounds:
        """Return the ends of `rate_ratio`'s interval."""
        return self.rate_ratio_interval or NOTHING

    @property
    def cold_calls(self) -> BreakEven:
        """Return `break_even_calls`, or one with nothing in it."""
        return self.break_even_calls or NO_CALLS

    @property
    def warm_calls(self) -> BreakEven:
        """Return `warm_break_even_calls`, or one with nothing in it."""
        return self.warm_break_even_calls or NO_CALLS

    @property
    def shown_parity(self) -> Parity | _Unproven:
        """The record's, with nothing in it where none was shown."""
        return self.record.parity or UNPROVEN

    @property
    def both_speeds(self) -> Speeds | _OneSpeed:
        """Return `speeds`, or two with nothing in them."""
        return self.speeds or ONE_SPEED

    @property
    def floor_of_verdict(self) -> float | None:
        """`floor`, where there is a verdict."""
        return self.floor if self.verdict else None

    @property
    def crowded_of_rate(self) -> bool | None:
        """`rate_crowded`, where there is an interval of the rate."""
        return self.rate_crowded if self.rate_interval else None

    @property
    def family(self) -> str:
        """The task's; empty in old records."""
        return self.record.about.family if self.record.about else ""

    @property
    def item(self) -> str:
        """What its throughput counts: what the record says, else an example of the task."""
        record = self.record
        if record.item or record.cell.scenario == "generate":  # whose records said nothing at first
            return record.item or "token"
        return record.about.item if record.about else "item"

    @property
    def right(self) -> bool:
        """Whether it ran, is proven to compute the same, and reaches the reference's score."""
        parity = self.record.parity
        shown = parity is not None and parity.passed and self.gate_passed
        return shown and self.step_s is not None and self.record.status == "ok"

    @property
    def struck(self) -> bool:
        """Whether its figures count for nothing: a score under the gate, or a speed that cannot be."""
        return not self.gate_passed or self.record.status == "implausible"

    @property
    def metric(self) -> str:
        """The name of the score that is compared."""
        return self.record.about.target.metric if self.record.about else ""

    @property
    def processor(self) -> str:
        """Return what it was measured on, for people; empty where the record does not say."""
        return processor(self.record.environment)

    @property
    def processes(self) -> int:
        """Count the timed processes."""
        return sum(bool(each.blocks) for each in self.record.processes)


def processor(environment: Mapping[str, Any]) -> str:
    """The processor's name, and its instruction set where that is known."""
    name, instructions = environment.get("cpu"), environment.get("instruction_set")
    return f"{name} ({instructions})" if name and instructions else str(name or instructions or "")
