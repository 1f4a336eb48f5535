"""Records of one run against the reference's in their group. Pure.

A ratio is the reference's step over the backend's: 2 means half the time. It is given only where parity was shown,
the quality gate holds and both sides stood on equal footing (measuring rules 17, 19 and 23); otherwise the row
says why it has none. Blocks that took turns are compared pair by pair; medians of cells that were timed one after
another are divided, and the row says so. Run against run is `bench.analysis.gate`.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from bench.analysis.breakeven import BreakEven, break_even
from bench.analysis.own import Own, own
from bench.analysis.row import Row, processor
from bench.core.cell import Pairing
from bench.core.record import DEFAULT_FLOOR, Noise, Record
from bench.core.task import Target
from bench.measure import statistics
from bench.measure.roofline import roofline
from bench.measure.sides import Group, Side, Turns, in_turns, medians, side, turns
from bench.storage.journals import Place

GATE = 0.99
FOOTING = ("weights_hash", "batch_hash", "threads", "affinity", "precision", "scope", "host_allocator")
"""Facts that both sides must state, and alike; each backend reads them back from its framework. What is natural to a
backend (layout, compile_scope, graph_breaks, donation, cuda_graphs, prepacked) is disclosed, and bars nothing."""
PROCESSOR = ("cpu", "instruction_set")
UNSTATED = "(not stated)"
NO_NOISE = Noise()
"""Of a record that says nothing of it."""
SEQUENTIAL_FLOOR = 0.18
"""Medians of sequential runs of the same program differed by up to 18 % (measuring rule 4)."""


def rows(records: Iterable[Record], reference: str, run: str = "") -> list[Row]:
    """One row a record, in order."""
    return list(rows_of([entry(record) for record in records], reference, run))


class Entry(NamedTuple):
    """A record, reduced to what its row and those of its group need."""

    side: Side
    own: Own
    place: Place | None = None
    """Where the whole record stands, if the side holds it in brief."""


def entry(record: Record, place: Place | None = None) -> Entry:
    """Reduce a record; what has a place is kept in brief."""
    ours = side(record)
    own_figures = own(ours)
    if place is not None:
        ours = msgspec.structs.replace(ours, record=record.brief)
    return Entry(ours, own_figures, place)


def rows_of(entries: Collection[Entry], reference: str, run: str = "") -> Generator[Row]:
    """One row an entry, in order."""
    sides = [each.side for each in entries]
    references = {each.group: each for each in sides if each.record.cell.is_reference(reference)}
    bests = best_of_camps(sides, references)
    named = (str(each.record.environment.get("machine", "")) for each in sides)
    machine = next(filter(None, named), "")
    for each in entries:
        yield row(each, references.get(each.side.group), bests.get(each.side.group), run, machine)


def best_of_camps(sides: Iterable[Side], references: Mapping[Group, Side]) -> dict[Group, Side]:
    """Pick, in each group, the fastest right side of the reference's camp; none where records name no camp."""
    found: dict[Group, Side] = {}
    for each in sides:
        reference, best = references.get(each.group), found.get(each.group)
        if reference is None or not each.camp or each.camp != reference.camp:
            continue
        sooner = best is None or each.step_s < best.step_s
        if sooner and not why_no_ratio(each, reference, gate_passed(each, reference)):
            found[each.group] = each
    return found


def row(entry: Entry, reference: Side | None, best: Side | None = None, run: str = "", machine: str = "") -> Row:
    """A record's figures, and its ratios to `reference` and to `best` of that one's camp where there may be any."""
    ours, found = entry.side, entry.own
    passed = gate_passed(ours, reference)
    why = why_no_ratio(ours, reference, passed)
    compared, besides = NOT_COMPARED, NO_BEST
    if reference is not None and not why:
        compared = OF_ITSELF if ours is reference else against(ours, reference)
        besides = beside_best(ours, reference, best, compared) if best is not None else besides
    record, counted = ours.record, reference.record.cost if reference else ours.record.cost
    roof = None
    if counted and record.peaks and found.step_s is not None:
        roof = roofline(counted, ours.step_s, found.token_s, record.peaks, record.cell.precision)
    where = str(ours.record.environment.get("machine", machine))
    return Row(
        record=ours.record,
        run=run,
        machine=where,
        score=ours.score,
        gate_passed=passed,
        roofline=roof,
        no_ratio=why,
        reference="" if why or reference is None else reference.record.cell.backend,
        camp="" if why or reference is None else reference.camp,
        place=entry.place,
        steps=found.steps,
        step_s=found.step_s,
        rate=found.rate,
        rate_interval=found.rate_interval,
        rate_crowded=found.rate_crowded,
        first_token_s=found.first_token_s,
        token_s=found.token_s,
        faults=found.faults,
        fault_share=found.fault_share,
        speeds=found.speeds,
        ratio=compared.ratio,
        interval=compared.interval,
        verdict=compared.verdict,
        lean=compared.lean,
        floor=compared.floor,
        pairing=compared.pairing,
        rate_ratio=compared.rate_ratio,
        rate_ratio_interval=compared.rate_ratio_interval,
        rate_verdict=compared.rate_verdict,
        rate_lean=compared.rate_lean,
        break_even_calls=compared.break_even_calls,
        warm_break_even_calls=compared.warm_break_even_calls,
        best=besides.name,
        best_ratio=besides.ratio,
        best_interval=besides.interval,
        best_verdict=besides.verdict,
        best_lean=besides.lean,
    )


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
    if not (this.steps.every and that.steps.every):
        return "its steps, or the reference's, are not times above zero that fill their blocks"
    if other := other_processor(record, reference):
        return other
    if not passed:
        return "score under 99 % of the reference's"
    if record.parity is None or not record.parity.passed:
        return "parity not shown"
    return unequal_footing(record.facts, reference.facts)


def other_processor(record: Record, reference: Record) -> str:
    """Return on which processors two cells of one run were measured, as a resumed run's may be; empty where on one."""
    ours, theirs = record.environment, reference.environment
    if ours is theirs:  # as most of a journal are
        return ""
    alike = all(not (ours.get(name) and theirs.get(name)) or ours[name] == theirs[name] for name in PROCESSOR)
    return "" if alike else f"measured on {processor(ours)}, the reference on {processor(theirs)}"


def unequal_footing(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """Return in what two cells were not treated alike; empty where in nothing."""
    differing = [name for name in FOOTING if (our := ours.get(name)) is None or our != theirs.get(name)]
    return "; ".join(f"{name} {_stated(ours, name)} against {_stated(theirs, name)}" for name in differing)


def _stated(facts: Mapping[str, Any], name: str) -> Any:
    """Return a fact; what is not known is not stated."""
    value = facts.get(name)
    return UNSTATED if value is None else value
