"""report.md: the table, what it was measured on, why rows lack figures, and the sources of the data."""

from __future__ import annotations

from collections.abc import Iterable

from bench.compare import Row
from bench.record import Record
from bench.report.table import floors, notes, number, used

SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "\\|`*_[]<>#~"})


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line: names in records come from outside."""
    return " ".join(text.translate(SPECIAL).split())


def table(rows: list[Row]) -> str:
    """The Markdown table alone. A row that fails the quality gate has its figures struck out."""
    columns = used(rows)
    lines = ["| " + " | ".join(column.title for column in columns) + " |", "|" + " --- |" * len(columns)]
    for row in rows:
        texts = [escape(column.text(row)) for column in columns]
        struck = texts if row.gate_passed else [*texts[:4], *(f"~~{text}~~" for text in texts[4:])]
        lines.append("| " + " | ".join(struck) + " |")
    return "\n".join(lines)


def render(rows: list[Row], reference: str) -> str:
    """The whole report."""
    records = [row.record for row in rows]
    parts = [
        "# Weighbridge report",
        " ".join([escape(headline(records)), f"Ratios are to `{escape(reference)}`.", floors(rows)]).rstrip(),
        table(rows),
        _list("Notes", notes(rows)),
        _list("Columns", (f"{column.title}: {column.meaning}" for column in used(rows)), raw=True),
        _list("Data", sorted({_source(record) for record in records if record.about})),
        _list("Environment", environment(records)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def headline(records: list[Record]) -> str:
    """What was weighed, on what, when, in one sentence."""
    if not records:
        return "Nothing was weighed."
    machines = sorted({str(record.environment.get("machine")) for record in records if record.environment})
    ok = sum(record.status == "ok" for record in records)
    where = f" on {', '.join(machines)}" if machines else ""
    return f"{ok} of {len(records)} cells weighed{where}, {min(record.started for record in records)}."


def environment(records: Iterable[Record]) -> list[str]:
    """Processor, memory, threads, versions and commit, once each."""
    found: dict[str, None] = {}
    for record in records:
        facts = record.environment
        if facts:
            packages = ", ".join(f"{name} {version}" for name, version in sorted(facts["versions"].items()))
            memory = number(facts["memory_bytes"] / 2**30, "GiB")
            found[
                f"{facts['cpu']}, {len(facts['cpus'])} CPUs, {memory}, {', '.join(facts['gpus']) or 'no GPU'}, "
                f"Python {facts['python']}, commit {facts['commit']}; {packages}"
            ] = None
    return list(found)


def _source(record: Record) -> str:
    assert record.about
    about = record.about
    goals = (("target", about.target), ("baseline", about.baseline))
    figures = "; ".join(f"{word} {goal.value:g} ({goal.source})" for word, goal in goals)
    return f"{record.cell.task}: {about.source} Licence: {about.licence}. {about.target.metric}: {figures}."


def _list(title: str, lines: Iterable[str], raw: bool = False) -> str:
    items = [f"- {line if raw else escape(line)}" for line in lines]
    return "\n".join([f"## {title}", "", *items]) if items else ""
