"""The same table in the terminal: a heading a group, a line a backend, as many columns as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.settings import words
from weighbridge.bench.report.columns import Column, used
from weighbridge.bench.report.notes import floors, notes
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.report.processors import Processors
from weighbridge.bench.report.visible import on_one_line

COLOURS = {"ok": "", "skipped": "yellow"}
GAP = 2
MOST_ROWS = 100
MOST_NOTES = 20
MOST_ANSWERS = 20


DECIDING = ("backend", "parity", "score", "verdict", "ratio", "status", "step")
"""Columns that are given room before all others: first whether it is right."""


class Report:
    """Fits itself to the console that prints it. Text is never parsed as mark-up."""

    def __init__(self, overview: Overview) -> None:
        self.rows = overview.rows[:MOST_ROWS]
        self.more = len(overview.rows) - len(self.rows)
        self.first, self.weighed = first(overview), overview.weighed
        self.ratios = f"{overview.sureness} Ratios are to {overview.reference}. {floors(self.rows)}".strip()
        self.processors = overview.processors
        self.answers = [answer for answer in overview.answers.found[:MOST_ANSWERS] if not answer.moves]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = used(list(self.rows))
        titled = [column for column in columns if column.rank == 0 and column.title != "backend"]
        kept, left = fit([column for column in columns if column not in titled], self.rows, options.max_width)
        widths = [width(column, self.rows) for column in kept]
        yield from [*self.first, Text()] if self.first else []
        yield Text(self.weighed)
        yield Text()
        yield from self._table(titled, kept, widths)
        if self.more:
            yield Text(f"… and {self.more:,} more rows; report.csv has them")
        if left:
            yield Text(f"No room for {', '.join(column.title for column in left)}: report.md has them.", style="dim")
        yield Text()
        told = notes(list(self.rows))
        yield from (Text(line, style="yellow") for line in told[:MOST_NOTES])
        if len(told) > MOST_NOTES:
            yield Text(f"… and {len(told) - MOST_NOTES:,} more notes; report.md has them", style="yellow")
        if self.processors:
            yield from by_processor(self.processors)
        yield from (Text(answer.sentence) for answer in self.answers)
        yield Text(self.ratios)

    def _table(self, titled: list[Column], kept: list[Column], widths: list[int]) -> RenderResult:
        yield line([column.title for column in kept], widths, "bold")
        several: dict[str, list[Row]] = {}  # a resumed run has the rows of a group here and there
        for row in self.rows:
            several.setdefault(", ".join(column.text(row) for column in titled), []).append(row)
        for title, rows in several.items():
            yield Text(on_one_line(title), style="bold cyan")
            for row in rows:
                style = f"{COLOURS.get(row.record.status, 'red')} {'strike' if row.struck else ''}".strip()
                texts = [column.text(row) for column in kept]
                yield line(texts, widths, style)
                if row.record.cell.options and row.record.cell.executor not in texts:
                    yield Text(f"  {on_one_line(' '.join(words(row.record.cell.options)))}", style="dim")


def first(overview: Overview) -> list[Text]:
    """What a stranger asks first: the answer over all cases, then each case that it sums up, and what to do with it."""
    lines = [Text(f"{sentence}.", style="bold") for sentence in overview.lead]
    for move in (move for answer in overview.answers.found[:MOST_ANSWERS] for move in answer.moves):
        lines += [] if move.sentence in overview.lead else [Text(f"{move.sentence}.")]
        lines.append(Text(f"  {move.advice}", style="dim"))
    return lines


def by_processor(found: Processors) -> RenderResult:
    """Ratios on each processor, and the sentence."""
    lines = found.lines[:MOST_ROWS]
    widths = [max(cell_len(on_one_line(text)) for text in texts) for texts in zip(found.columns, *lines, strict=True)]
    yield line(found.columns, widths, "bold")
    yield from (line(texts, widths, "") for texts in lines)
    if left := len(found.lines) - len(lines) + found.left_out:
        yield Text(f"… and {left:,} more; report.csv has them")
    yield Text(f"{found.title} {found.sentence}")


def fit(columns: list[Column], rows: Sequence[Row], room: int) -> tuple[list[Column], list[Column]]:
    """The columns that fit, those that decide first, and in brief where not all do; and those that do not fit."""
    if sum(width(each, rows) + GAP for each in columns) - GAP > room:
        columns = [column._replace(text=column.brief) if column.brief else column for column in columns]
        columns = [column for column in columns if column.title != "status" or any(map(_not_ok, rows))]
    kept: list[Column] = []
    for column in sorted(columns, key=_importance):
        if sum(width(each, rows) + GAP for each in [*kept, column]) - GAP <= room or not kept:
            kept.append(column)
    return [column for column in columns if column in kept], [column for column in columns if column not in kept]


def _not_ok(row: Row) -> bool:
    return row.record.status != "ok"


def _importance(column: Column) -> tuple[int, int]:
    return DECIDING.index(column.title) if column.title in DECIDING else len(DECIDING), column.rank


def width(column: Column, rows: Sequence[Row]) -> int:
    """Return a column's width in character cells."""
    texts = (column.title, *(column.text(row) for row in rows))
    return max((cell_len(on_one_line(text)) for text in texts), default=0)


def line(texts: list[str], widths: list[int], style: str) -> Text:
    """Padded to the columns; a text from outside that breaks lines does not."""
    padded = [text + " " * (room - cell_len(text)) for text, room in zip(map(on_one_line, texts), widths, strict=True)]
    return Text((" " * GAP).join(padded).rstrip(), style=style, no_wrap=True, overflow="fold")


def render(overview: Overview) -> Report:
    """The table, what lacks a figure and why, the answers, and the headline."""
    return Report(overview)
