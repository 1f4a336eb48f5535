"""Does it depend on the processor? Each group's ratios on every processor, side by side.

Only what was measured on one processor is divided; here the quotients stand beside each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report.texts import driven, task
from weighbridge.bench.report.units import times, word

TITLE = "Does it depend on the processor?"
MOST_NAMED = 5
MOST_LINES = 200


class Processors(msgspec.Struct, frozen=True, kw_only=True):
    """A line a group and backend, a column a processor, and the answer in one sentence."""

    title: str
    sentence: str
    columns: list[str]
    lines: list[list[str]]
    left_out: int = 0


Found = dict[str, Row]
"""Processor -> the newest row on it."""


def processors(rows: Sequence[Row]) -> Processors | None:
    """Return ratios on each processor, of rows with a verdict; None where they come from one processor."""
    judged = [(row, name) for row in rows if row.verdict and (name := row.processor)]
    found = dict.fromkeys(name for _, name in judged)
    same = _same(found)
    names = list(dict.fromkeys(map(same.__getitem__, found)))
    if len(names) < 2:
        return None
    groups = {name: found for name, found in _grouped((row for row, _ in judged), same).items() if len(found) > 1}
    lines = [[*name, *(_text(found.get(each)) for each in names)] for name, found in groups.items()]
    return Processors(
        title=TITLE,
        sentence=sentence(groups),
        columns=["task", "scenario", "backend", *names],
        lines=lines[:MOST_LINES],
        left_out=max(0, len(lines) - MOST_LINES),
    )


def _same(names: Collection[str]) -> dict[str, str]:
    """Each name's fullest form: an old record names no instruction set, and its processor may have only one."""
    fuller = {name: [other for other in names if other.startswith(f"{name} (")] for name in names}
    return {name: others[0] if len(others) == 1 else name for name, others in fuller.items()}


def _grouped(rows: Iterable[Row], same: Mapping[str, str]) -> dict[tuple[str, str, str], Found]:
    found: dict[tuple[str, str, str], Found] = defaultdict(dict)
    for row in sorted(rows, key=lambda row: row.record.started):
        found[task(row), driven(row), row.record.cell.executor][same[row.processor]] = row
    return found


def _text(row: Row | None) -> str:
    return f"{times(row.ratio, row.interval)} {word(row.verdict, row.lean)}" if row else "–"


def sentence(groups: dict[tuple[str, str, str], Found]) -> str:
    """Which verdicts differ; UNSURE differs from none, since it says nothing."""
    if not groups:
        return "No group was weighed on more than one processor."
    words = {name: {row.verdict for row in found.values()} - {"UNSURE"} for name, found in groups.items()}
    differing = [f"{name[2]} on {name[0]} ({name[1]})" for name, verdicts in words.items() if len(verdicts) > 1]
    if not differing:
        return f"No verdict of {len(groups):,} contradicts that on another processor."
    named = "; ".join(differing[:MOST_NAMED])
    more = f"; and {len(differing) - MOST_NAMED:,} more" if len(differing) > MOST_NAMED else ""
    return f"Yes, for {len(differing):,} of {len(groups):,}: {named}{more}."
