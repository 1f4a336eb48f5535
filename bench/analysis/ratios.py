"""Records of one run against the reference's in their group. Pure.

Whether a record may have a ratio is asked in `bench.analysis.footing`, what the ratio is in `bench.analysis.judging`.
Run against run is `bench.analysis.gate`.
"""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Mapping
from typing import NamedTuple

import msgspec

from weighbridge.bench.analysis.footing import gate_passed, why_no_ratio
from weighbridge.bench.analysis.judging import NO_BEST, NOT_COMPARED, OF_ITSELF, against, beside_best
from weighbridge.bench.analysis.own import Own, own
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure.roofline import Roofline, roofline
from weighbridge.bench.measure.sides import Group, Side, side
from weighbridge.bench.storage.journals import Place


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
    where = str(ours.record.environment.get("machine", machine))
    return Row(
        record=ours.record,
        run=run,
        machine=where,
        score=ours.score,
        gate_passed=passed,
        roofline=roof_of(entry, reference),
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


def roof_of(entry: Entry, reference: Side | None) -> Roofline | None:
    """Where the record stands under the machine's roof, by what the reference counted; None where nobody counted."""
    record, found = entry.side.record, entry.own
    counted = reference.record.cost if reference else record.cost
    if not counted or not record.peaks or found.step_s is None:
        return None
    return roofline(counted, entry.side.step_s, found.token_s, record.peaks, record.cell.precision)
