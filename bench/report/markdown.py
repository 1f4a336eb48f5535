"""report.md: the table, what it was measured on, why rows lack figures, and the sources of the data."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.arrays import Facts
from weighbridge.bench.core.process import Count
from weighbridge.bench.core.record import Record
from weighbridge.bench.report.columns import Column, used
from weighbridge.bench.report.markup import escape, grid
from weighbridge.bench.report.notes import floors, notes
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.report.processors import Processors
from weighbridge.bench.report.sections.section import Section
from weighbridge.bench.report.units import number

MOST_ROWS = 200
MOST_NOTES = 60


def table(rows: Sequence[Row]) -> str:
    """The Markdown table alone. A row that fails the quality gate, or is implausible, has its figures struck out."""
    columns = used(list(rows))
    return grid([column.title for column in columns], [[_cell(row, column) for column in columns] for row in rows])


def _cell(row: Row, column: Column) -> str:
    text = escape(column.text(row))
    return text if not row.struck or not column.rank or column.title == "status" else f"~~{text}~~"


def render(overview: Overview) -> str:
    """The whole report; of a large run its first rows, since a pull request's comment holds 65,536 characters."""
    rows = overview.rows
    shown = list(rows[:MOST_ROWS])
    records = [row.record for row in shown]
    more = f"… and {len(rows) - len(shown):,} more rows; report.csv has them all." if len(rows) > len(shown) else ""
    found = overview.answers
    told = notes(shown)
    parts = [
        f"# {escape(overview.title)}",
        "\n\n".join(f"{escape(sentence)}." for sentence in overview.lead[1:]),
        "\n".join(
            f"- {escape(move.sentence)}. **{escape(move.advice)}**" for answer in found.found for move in answer.moves
        ),
        " ".join(
            [
                escape(overview.weighed),
                overview.sureness,
                f"Ratios are to `{escape(overview.reference)}`.",
                floors(shown),
            ]
        ).rstrip(),
        _list("The fastest that is still right", _limited([a.sentence for a in found.found], found.left_out)),
        by_processor(overview.processors) if overview.processors else "",
        f"## Every row\n\n{table(shown)}" if shown else "",
        more,
        *map(by_scenario, overview.sections),
        _list("Notes", _limited(told[:MOST_NOTES], len(told) - MOST_NOTES)),
        _list("Columns", (f"{column.title}: {column.meaning}" for column in used(shown)), raw=True),
        _list("Data", sources(records)),
        _list("Environment", environment(records)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def by_processor(found: Processors) -> str:
    """The sentence, and ratios on each processor."""
    more = f"\n\n… and {found.left_out:,} more; report.csv has them." if found.left_out else ""
    drawn = grid([*map(escape, found.columns)], [map(escape, texts) for texts in found.lines])
    return f"## {found.title}\n\n{escape(found.sentence)}\n\n{drawn}{more}"


def by_scenario(found: Section) -> str:
    """Render what a scenario says of its own rows."""
    parts = [f"## {escape(found.title)}"]
    for each in found.grids:
        parts += [f"### {escape(each.title)}"] if each.title else []
        parts += [f"{escape(each.sentence)}."] if each.sentence else []
        lines = grid(map(escape, each.headings), [map(escape, line) for line in each.lines[:MOST_ROWS]])
        left = len(each.lines) - MOST_ROWS
        parts += [lines, f"… and {left:,} more"] if left > 0 else [lines]
    return "\n\n".join([*parts, "\n".join(f"- {escape(note)}" for note in found.notes)])


def _limited(lines: list[str], left_out: int) -> list[str]:
    return [*lines, f"… and {left_out:,} more"] if left_out > 0 else lines


def environment(records: Iterable[Record]) -> list[str]:
    """Processor, memory, threads, versions and commit, once each."""
    return list(dict.fromkeys(_place(record.environment) for record in records if record.environment))


class _Place(msgspec.Struct):
    """What an environment tells; a journal from outside may leave out any of it."""

    cpu: str = "a processor that nobody named"
    cpus: list[int] = []
    memory_bytes: Count = 0
    gpus: list[str] = []
    python: str = "n/a"
    commit: str = "n/a"
    versions: dict[str, str | None] = {}


def _place(facts: Facts) -> str:
    try:
        known = msgspec.convert(facts, _Place)
    except msgspec.ValidationError as error:
        return f"not readable: {error}"
    packages = ", ".join(f"{name} {version}" for name, version in sorted(known.versions.items()))
    return (
        f"{known.cpu}, {len(known.cpus)} CPUs, {number(known.memory_bytes / 2**30, 'GiB')}, "
        f"{', '.join(known.gpus) or 'no GPU'}, Python {known.python}, commit {known.commit}; {packages}"
    )


def sources(records: Iterable[Record]) -> list[str]:
    """Return where each task's data come from, their licence, and the figures that scores are held to."""
    return sorted({_source(record) for record in records if record.about})


def _source(record: Record) -> str:
    assert record.about
    about = record.about
    goals = (("target", about.target), ("baseline", about.baseline))
    figures = "; ".join(f"{word} {goal.value:g} ({goal.source})" for word, goal in goals)
    return f"{record.cell.task}: {about.source} Licence: {about.licence}. {about.target.metric}: {figures}."


def _list(title: str, lines: Iterable[str], raw: bool = False) -> str:
    items = [f"- {line if raw else escape(line)}" for line in lines]
    return "\n".join([f"## {title}", "", *items]) if items else ""
