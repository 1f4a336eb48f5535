"""Records of one run against the reference's in their group. Pure.

A ratio is the reference's step over the backend's: 2 means half the time. It is given only where parity was shown,
the quality gate holds and both sides stood on equal footing (MEASURING.md, rules 17, 19 and 23); otherwise the row
says why it has none. Blocks that took turns are compared pair by pair; medians of cells that were timed one after
another are divided, and the row says so. Run against run is `bench.gate`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from bench import stats
from bench.core import Cell, Target
from bench.record import DEFAULT_FLOOR, Pairing, Record
from bench.roofline import Roofline, roofline

GATE = 0.99
FOOTING = ("weights_hash", "batch_hash", "threads", "affinity", "precision", "scope", "host_allocator")
"""Facts that both sides must state, and alike; each backend reads them back from its framework. What is natural to a
backend (layout, compile_scope, graph_breaks, donation, cuda_graphs, prepacked) is disclosed, and bars nothing."""
UNSTATED = "(not stated)"
SEQUENTIAL_FLOOR = 0.18
"""Medians of sequential runs of the same program differed by up to 18 % (MEASURING.md, rule 4)."""

BreakEven = float | Literal["never"] | None
"""Calls until a longer compilation is repaid; None where it cannot be told."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A record with what follows from it. Times in seconds, memory in bytes, rates per second."""

    record: Record
    run: str = ""
    """The name of the run's folder; empty where rows are of one run."""
    machine: str = ""
    """Where it was measured; that of the run where a record, such as a skipped cell's, does not say."""
    step_s: float | None = None
    rate: float | None = None
    """Items a second: of queued steps, or of synchronised ones where a step is longer than a block."""
    first_token_s: float | None = None
    token_s: float | None = None
    """Seconds a token after the first."""
    ratio: float | None = None
    interval: stats.Interval | None = None
    """Around `ratio`; None where there is no ratio, too few blocks for an interval, or it is the reference's own."""
    verdict: stats.Verdict | None = None
    """None where there is no ratio, and of the reference."""
    lean: stats.Lean = ""
    """Where a ratio points that is UNSURE, as that of one process a side always is."""
    floor: float = DEFAULT_FLOOR
    """The noise floor that the verdict was held against: the larger of both records'."""
    pairing: Pairing = ""
    break_even_calls: BreakEven = None
    """From an empty compile cache on both sides."""
    warm_break_even_calls: BreakEven = None
    """From a filled one, on the sides that have a cache."""
    roofline: Roofline | None = None
    """By what was counted on the reference; None where nothing was, or the machine's peaks are not known."""
    no_ratio: str = ""
    score: float | None = None
    gate_passed: bool = True

    @property
    def family(self) -> str:
        """The task's; empty in old records."""
        return self.record.about.family if self.record.about else ""

    @property
    def right(self) -> bool:
        """Whether it ran, is proven to compute the same, and reaches the reference's score."""
        parity = self.record.parity
        return self.step_s is not None and parity is not None and parity.passed and self.gate_passed

    @property
    def metric(self) -> str:
        """The name of the score that is compared."""
        return self.record.about.target.metric if self.record.about else ""


def rows(records: Iterable[Record], reference: str, run: str = "") -> list[Row]:
    """One row a record, in order."""
    return rows_of([side(record) for record in records], reference, run)


def rows_of(sides: Collection[Side], reference: str, run: str = "") -> list[Row]:
    """One row a side, in order."""
    references = {each.group: each for each in sides if each.record.cell.backend == reference}
    named = (str(each.record.environment.get("machine", "")) for each in sides)
    machine = next(filter(None, named), "")
    return [row(each, references.get(each.group), run, machine) for each in sides]


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison needs of a record, computed once: a reference is compared with many."""

    record: Record
    group: tuple[object, ...]
    blocks: list[list[float]]
    """Medians of blocks; empty where there is no usable time."""
    step_s: float
    """NaN where there is none."""
    score: float | None


def side(record: Record) -> Side:
    """Of one record."""
    steps = record.step_s
    blocks = stats.block_medians(steps, record.blocks) if has_times(steps, record.blocks) else []
    return Side(
        record=record, group=group(record.cell), blocks=blocks, step_s=stats.median(steps), score=main_score(record)
    )


def group(cell: Cell) -> tuple[object, ...]:
    """As `Cell.group`, without its hash, of which a hundred thousand take a second."""
    return (cell.task, cell.preset, cell.scenario, cell.precision, cell.batch_size, cell.device, cell.seed)


def row(ours: Side, reference: Side | None, run: str = "", machine: str = "") -> Row:
    """A record's figures, and its ratio to `reference` where there may be one."""
    passed = gate_passed(ours, reference)
    why = why_no_ratio(ours, reference, passed)
    found = figures(ours)
    if why or reference is None:
        found["no_ratio"] = why
    elif ours is reference:
        found["ratio"] = 1.0
    else:
        found |= against(ours, reference)
    record, counted = ours.record, reference.record.cost if reference else ours.record.cost
    if counted and record.peaks and "step_s" in found:
        token_s = found.get("token_s")
        found["roofline"] = roofline(counted, ours.step_s, token_s, record.peaks, record.cell.precision)
    where = ours.record.environment.get("machine", machine)
    return Row(record=ours.record, run=run, machine=where, score=ours.score, gate_passed=passed, **found)


def against(this: Side, that: Side) -> dict[str, Any]:
    """Ratio, interval, verdict and break-even of a record that may be compared."""
    record, reference = this.record, that.record
    together = record.started == reference.started  # a retry measures anew, and beside nobody of the first time
    paired = together and record.pairing == reference.pairing == "interleaved"
    ratio, sure = turns(this, that) if paired else medians(this, that)
    floor = max(_floor(record), _floor(reference), 0.0 if paired else SEQUENTIAL_FLOOR)
    verdict = stats.verdict(ratio, floor, sure)
    return {
        "ratio": ratio.value,
        "interval": ratio,
        "verdict": verdict,
        "lean": stats.lean(ratio, floor) if verdict == "UNSURE" else "",
        "floor": floor,
        "pairing": "interleaved" if paired else "sequential",
        **break_even(this, that, verdict),
    }


def turns(this: Side, that: Side) -> tuple[stats.Interval, bool]:
    """Of blocks that took turns, and whether a verdict may be given of it.

    Turns in which either side had a busy neighbour are left out; where that leaves too few, all are shown, unsure.
    """
    ratios = stats.paired_ratios(_quiet(that), _quiet(this))
    if stats.enough(ratios):
        return stats.interval(ratios), True
    return stats.interval(stats.paired_ratios(that.blocks, this.blocks)), False


def medians(this: Side, that: Side) -> tuple[stats.Interval, bool]:
    """Of medians that were taken one after the other."""
    quiet = [stats.known(_quiet(side)) for side in (that, this)]
    sure = all(map(stats.enough, quiet))
    over, under = quiet if sure else (that.blocks, this.blocks)
    return stats.unpaired_ratio(stats.interval(over), stats.interval(under)), sure


def _quiet(side: Side) -> list[list[float]]:
    return stats.without(side.blocks, side.record.crowded)


def _floor(record: Record) -> float:
    return record.noise.floor if record.noise else DEFAULT_FLOOR


def break_even(this: Side, that: Side, verdict: stats.Verdict) -> dict[str, BreakEven]:
    """Cold and warm; a backend that keeps no compile cache compiles anew in every process."""
    record, reference = this.record, that.record
    saved_s = that.step_s - this.step_s
    cold = _extra(record.compile_s, reference.compile_s)
    ours, theirs = record.warm_compile_s, reference.warm_compile_s
    warm = _extra(ours, reference.compile_s if theirs is None else theirs)
    return {
        "break_even_calls": _calls(cold, saved_s, verdict),
        "warm_break_even_calls": _calls(warm, saved_s, verdict),
    }


def _extra(ours_s: float | None, theirs_s: float | None) -> float | None:
    return None if ours_s is None or theirs_s is None else ours_s - theirs_s


def _calls(extra_s: float | None, saved_s: float, verdict: stats.Verdict) -> BreakEven:
    if extra_s is None:
        return None
    if verdict == "SAME":  # what a call saves is noise
        return "never" if extra_s > 0 else 0.0
    calls = stats.break_even_calls(extra_s, saved_s)
    return "never" if calls is None else calls


def figures(this: Side) -> dict[str, Any]:
    """Medians of the raw samples."""
    record, step_s = this.record, this.step_s
    if record.status != "ok" or not record.step_s:
        return {}
    queued_s = stats.median(record.queued_step_s) if record.queued_step_s else step_s
    found: dict[str, Any] = {"step_s": step_s, "rate": record.items_per_step / queued_s if queued_s > 0 else None}
    if record.first_token_s:
        first = stats.median(record.first_token_s)
        later = record.items_per_step // record.cell.batch_size - 1
        found |= {"first_token_s": first, "token_s": (step_s - first) / later if later else None}
    return found


def main_score(record: Record) -> float | None:
    """The figure that the task's target names; None where there is none or its weights are random."""
    if record.about is None or record.about.weights == "seeded":
        return None
    return record.score.get(record.about.target.metric)


def gate_passed(this: Side, reference: Side | None) -> bool:
    """Whether the score reaches 99 % of the reference's on the same weights; true where there is no score."""
    about = this.record.about
    if this.score is None or reference is None or reference.score is None or about is None:
        return True
    return reaches(this.score, reference.score, about.target)


def reaches(score: float, of: float, target: Target) -> bool:
    """Whether `score` is within 1 % of `of`, or better."""
    slack = (1 - GATE) * abs(of)
    return score >= of - slack if target.higher_is_better else score <= of + slack


def why_no_ratio(this: Side, that: Side | None, passed: bool) -> str:
    """Empty where a ratio is honest."""
    record, reference = this.record, that.record if that else None
    if record.status != "ok":
        return record.reason or record.status
    if that is None or reference is None or reference.status != "ok":
        return "no reference measured beside it"
    if not (this.blocks and that.blocks):
        return "its steps, or the reference's, are not times above zero that fill their blocks"
    if not passed:
        return "score under 99 % of the reference's"
    if record.parity is None or not record.parity.passed:
        return "parity not shown"
    return unequal_footing(record.facts, reference.facts)


def has_times(step_s: Sequence[float], blocks: Sequence[Sequence[int]]) -> bool:
    """Whether samples fill their blocks and can be divided: journals come from outside."""
    return sum(map(sum, blocks)) == len(step_s) > 0 and math.isfinite(sum(step_s)) and min(step_s) > 0


def unequal_footing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """In what two cells were not treated alike; empty where in nothing."""
    pairs = [(name, _stated(ours, name), _stated(theirs, name)) for name in FOOTING]
    return "; ".join(f"{name} {our} against {their}" for name, our, their in pairs if our != their or our is UNSTATED)


def _stated(facts: Mapping[str, Any], name: str) -> Any:
    """What is not known is not stated."""
    value = facts.get(name)
    return UNSTATED if value is None else value
