"""What could have been weighed and was not, in a few words."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.measure import sides

MOST_CHARACTERS = 160


class Lacking(msgspec.Struct):
    """A backend: the tasks of the groups that lack it, and how many groups have it."""

    tasks: list[str] = []
    there: int = 0


def absent(rows: Sequence[Row]) -> str:
    """`a on all; b on images and 3 more groups`: contenders of a group without a row in it.

    Those that are missing everywhere come first. Empty where records name no contenders.
    """
    groups = _groups(rows) if any(map(_contenders, rows)) else []
    found = {name: each for name, each in _counted(groups).items() if each.tasks}
    ordered = sorted(found, key=lambda name: (found[name].there > 0, -len(found[name].tasks)))
    return _short([f"{name} on {_on(found[name].tasks, len(groups))}" for name in ordered])


def _groups(rows: Iterable[Row]) -> list[list[Row]]:
    """Rows that share all but their backend, of however many runs of a machine, where one names contenders."""
    found: dict[tuple[object, ...], list[Row]] = defaultdict(list)
    for row in rows:
        found[row.machine, *sides.group(row.record.cell)].append(row)
    return [rows for rows in found.values() if any(map(_contenders, rows))]


def _contenders(row: Row) -> list[str]:
    return row.record.about.contenders if row.record.about else []


def _counted(groups: Iterable[list[Row]]) -> dict[str, Lacking]:
    found: dict[str, Lacking] = defaultdict(Lacking)
    for rows in groups:
        there = {row.record.cell.backend for row in rows}
        for name in dict.fromkeys(chain.from_iterable(map(_contenders, rows))):
            if name in there:
                found[name].there += 1
            else:
                found[name].tasks.append(rows[0].record.cell.task)
    return found


def _on(tasks: list[str], groups: int) -> str:
    more = len(tasks) - 1
    if len(tasks) == groups:
        return "all"
    return tasks[0] + (f" and {more:,} more group{'s' if more > 1 else ''}" if more else "")


def _short(clauses: list[str]) -> str:
    """Return as many as fit, and how many more."""
    kept = clauses[:1]
    for clause in clauses[1:]:
        if len("; ".join([*kept, clause])) > MOST_CHARACTERS:
            break
        kept.append(clause)
    more = len(clauses) - len(kept)
    return "; ".join(kept) + (f"; and {more} more backend{'s' if more > 1 else ''}" if more else "")
