"""The ledger of parity in words: a grid a task, a line a backend."""

from __future__ import annotations

from collections.abc import Sequence

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.record import Controls, Record
from weighbridge.bench.report.sections.section import Grid, Section
from weighbridge.bench.report.units import number, percent

HEADINGS = ("backend", "precision", "parity", "difference", "decisions", "mistakes seen", "status")
NARROW = ("backend", "parity", "mistakes seen", "status")
NOTES = (
    "Parity: the error against float64 in units of the reference's own, and the limit. Difference: the largest "
    "distance of a number from the reference's, of the output's root mean square. Decisions: share of equal argmaxes.",
    "Mistakes seen: of those that ports of the architecture make, put into a copy of the backend's model, how many the "
    "same check refuses. Those that change no output of this model are not counted.",
)


def section(rows: Sequence[Row]) -> Section | None:
    """Return what there is to say of rows of this scenario; None where there are none."""
    several: dict[tuple[str, str], list[Record]] = {}
    for row in rows:
        cell = row.record.cell
        if cell.scenario == "parity":
            several.setdefault((cell.task, cell.preset), []).append(row.record)
    grids = [_grid(f"{task} {preset}", records) for (task, preset), records in several.items()]
    return Section("Is it still right?", grids, NOTES) if grids else None


def _grid(title: str, records: Sequence[Record]) -> Grid:
    return Grid(title, sentence(records), HEADINGS, [_line(each) for each in records], NARROW, _below(records))


def sentence(records: Sequence[Record]) -> str:
    """Which backends are right, which are not, and what the check does not see."""
    right = [each.cell.executor for each in records if _passed(each)]
    wrong = [each.cell.executor for each in records if not _passed(each)]
    said = f"the same answers on {', '.join(dict.fromkeys(right))}" if right else "no backend is proven"
    said += f"; not on {', '.join(dict.fromkeys(wrong))}" if wrong else ""
    missed = dict.fromkeys(name for each in records for name in _controls(each).survived)
    return said + (f"; the check does not see: {', '.join(missed)}" if missed else "")


def _passed(record: Record) -> bool:
    return record.status == "ok" and record.parity is not None and record.parity.passed


def _controls(record: Record) -> Controls:
    return (record.parity and record.parity.controls) or Controls()


def _line(record: Record) -> list[str]:
    found, controls = record.parity, _controls(record)
    made = len(controls.killed) + len(controls.survived)
    if found is None:
        return [record.cell.executor, record.cell.precision, "–", "–", "–", "–", record.status]
    ratio = "not finite" if found.ratio is None else f"{number(found.ratio)} of {found.limit:g}"
    known = found.difference is not None and found.scale is not None
    return [
        record.cell.executor,
        record.cell.precision,
        ratio,
        f"{found.difference:.1e} of {found.scale:.3g}" if known else "–",
        "–" if found.decisions_equal is None else percent(found.decisions_equal),
        f"{len(controls.killed)} of {made}" if made else "–",
        record.status,
    ]


def _below(records: Sequence[Record]) -> list[str]:
    """Reasons, and each mistake by name."""
    told = [f"{each.cell.executor}: {each.reason}" for each in records if each.reason]
    for each in records:
        for verb, names in (("sees", _controls(each).killed), ("does not see", _controls(each).survived)):
            told += [f"{each.cell.executor}: the check {verb} {'; '.join(names)}"] if names else []
        told += [f"{each.cell.executor}: not made: {name} ({why})" for name, why in _controls(each).unmade.items()]
    return told
