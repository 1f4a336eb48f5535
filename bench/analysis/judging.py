"""A record's ratios, intervals and verdicts to another of its group. Pure.

A ratio is the other's step over this one's: 2 means half the time. Blocks that took turns are compared pair by pair;
medians of cells that were timed one after another are divided, and the row says so.
"""

from __future__ import annotations

from typing import NamedTuple

from weighbridge.bench.analysis.breakeven import BreakEven, break_even
from weighbridge.bench.core.cell import Pairing
from weighbridge.bench.core.record import DEFAULT_FLOOR, Noise, Record
from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.sides import Side, Turns, in_turns, medians, turns

NO_NOISE = Noise()
"""Of a record that says nothing of it."""
SEQUENTIAL_FLOOR = 0.18
"""Medians of sequential runs of the same program differed by up to 18 % (measuring rule 4)."""


class Compared(NamedTuple):
    """Fields of a row that hang on the reference."""

    ratio: float | None = None
    interval: statistics.Interval | None = None
    verdict: statistics.Verdict | None = None
    lean: statistics.Lean = ""
    floor: float = DEFAULT_FLOOR
    pairing: Pairing = ""
    rate_ratio: float | None = None
    rate_ratio_interval: statistics.Interval | None = None
    rate_verdict: statistics.Verdict | None = None
    rate_lean: statistics.Lean = ""
    break_even_calls: BreakEven | None = None
    warm_break_even_calls: BreakEven | None = None


NOT_COMPARED, OF_ITSELF = Compared(), Compared(ratio=1.0)


def against(this: Side, that: Side) -> Compared:
    """Ratios, intervals, verdicts and break-even of a record that may be compared."""
    paired = in_turns(this, that)
    floor, spread = floor_of(this, that, paired), spread_of(this, that)
    latency = judged(this.steps, that.steps, paired, floor, spread)
    cold, warm = repaid(this.record, that, latency)
    queued = this.queued.every and that.queued.every
    rate = judged(this.queued, that.queued, paired, floor, spread) if queued else None
    return Compared(
        ratio=latency.ratio.value,
        interval=latency.interval,
        verdict=latency.verdict,
        lean=latency.lean,
        floor=floor,
        pairing="interleaved" if paired else "sequential",
        rate_ratio=rate.ratio.value if rate else None,
        rate_ratio_interval=rate.interval if rate else None,
        rate_verdict=rate.verdict if rate else None,
        rate_lean=rate.lean if rate else "",
        break_even_calls=cold,
        warm_break_even_calls=warm,
    )


class Best(NamedTuple):
    """Fields of a row that hang on the best row of the reference's camp."""

    name: str = ""
    ratio: float | None = None
    interval: statistics.Interval | None = None
    verdict: statistics.Verdict | None = None
    lean: statistics.Lean = ""


NO_BEST = Best()


def beside_best(this: Side, reference: Side, best: Side, found: Compared) -> Best:
    """The ratio to the best row of the reference's camp, which is the first ratio where that is the reference."""
    name = best.record.cell.executor
    if this is best:
        return Best(name, 1.0)
    if best is reference:
        return Best(name, found.ratio, found.interval, found.verdict, found.lean)
    paired = in_turns(this, best)
    judgement = judged(this.steps, best.steps, paired, floor_of(this, best, paired), spread_of(this, best))
    return Best(name, judgement.ratio.value, judgement.interval, judgement.verdict, judgement.lean)


class Judged(NamedTuple):
    """A ratio above 1 where faster, and what is said of it."""

    ratio: statistics.Interval
    interval: statistics.Interval | None
    """None where there were too few blocks for one."""
    verdict: statistics.Verdict
    lean: statistics.Lean


def judged(this: Turns, that: Turns, paired: bool, floor: float, spread: float) -> Judged:
    """Blocks of one side against those of another; `spread` is what whole runs differ by."""
    ratio, blocks, sure = turns(this, that) if paired else medians(this, that)
    ratio = statistics.no_narrower(ratio, spread)
    verdict = statistics.verdict(ratio, floor, sure)
    lean = statistics.lean(ratio, floor) if verdict == "UNSURE" else ""
    return Judged(ratio, ratio if blocks >= statistics.FEWEST_BLOCKS else None, verdict, lean)


def spread_of(this: Side, that: Side) -> float:
    """Return what the ratio of both differs by between whole runs, as far as that was measured: the larger of both."""
    ours, theirs = this.record.noise or NO_NOISE, that.record.noise or NO_NOISE
    return max(ours.ratio_spread or 0.0, theirs.ratio_spread or 0.0)


def floor_of(this: Side, that: Side, paired: bool) -> float:
    """The larger of both; of what was timed one after the other, what sequential runs differ by."""
    ours, theirs = this.record.noise or NO_NOISE, that.record.noise or NO_NOISE
    return max(ours.floor, theirs.floor, 0.0 if paired else SEQUENTIAL_FLOOR)


def repaid(record: Record, that: Side, found: Judged) -> tuple[BreakEven | None, BreakEven | None]:
    """Cold and warm break-even; a backend that keeps no compile cache compiles anew in every process."""
    reference = that.record
    cold = _extra(record.compile_s, reference.compile_s)
    ours, theirs = record.warm_compile_s, reference.warm_compile_s
    warm = _extra(ours, reference.compile_s if theirs is None else theirs)
    return (
        break_even(cold, that.step_s, found.ratio, found.verdict),
        break_even(warm, that.step_s, found.ratio, found.verdict),
    )


def _extra(ours_s: float | None, theirs_s: float | None) -> float | None:
    return None if ours_s is None or theirs_s is None else ours_s - theirs_s
