"""report.html: one file that opens offline and loads nothing from anywhere.

The words are those of the other renderings (`answer`, `table`, `plots`); here is only what a browser needs. Text is
escaped by jinja2, data by `inert_json`, and what a script adds later it adds as text nodes. The page's own policy
forbids every script and style but the two whose hashes it names, and every connection.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.measure.environment import git_commit, version
from weighbridge.bench.report import details
from weighbridge.bench.report.columns import Column, used
from weighbridge.bench.report.markdown import environment, sources
from weighbridge.bench.report.notes import floors, remarks
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.report.plots import bars, chapters
from weighbridge.bench.report.texts import task
from weighbridge.bench.report.visible import json_for_page, visible

ASSETS = Path(__file__).parent / "assets"
PLOT_LIBRARY = "uPlot 1.6.32, © 2022 Leon Sorokin (MIT)"
COLOURS = 8
MOST_GAPS = 60
MOST_LINES = 1000
"""Of a scenario's own grid."""
FILTERS: list[tuple[str, Callable[[Row], str]]] = [
    ("machine", lambda row: row.machine),
    ("run", lambda row: row.run),
    ("task", task),
    ("family", lambda row: row.family),
    ("backend", lambda row: row.record.cell.backend),
    ("scenario", lambda row: row.record.cell.scenario),
    ("precision", lambda row: row.record.cell.precision),
    ("batch size", lambda row: str(row.record.cell.batch_size)),
    ("device", lambda row: row.record.cell.device),
    ("status", lambda row: row.record.status),
    ("verdict", lambda row: row.verdict or "none"),
]
GLOSSARY = [
    ("reference", "the backend that ratios are to, and whose weights all others carry"),
    ("cell", "task × preset × backend × scenario × precision × batch size × device"),
    ("group", "cells that differ only in their backend; they are timed in turns, block by block"),
    ("right", "parity was passed, and the score reaches 99 % of the reference's"),
    ("oracle", "the reference computed in float64 on the CPU"),
    ("noise floor", "how far equal programs come out unequal on this machine; weighbridge calibrate measures it"),
    ("interval", "95 %, Student's over the processes; of one process by a bootstrap of its blocks"),
    ("effort", "quick, standard, strict: how many processes a cell takes, and how sure it must be"),
    ("camp", "backends of one framework; ratios are to the reference, and to the best row of its camp"),
    ("Pareto front", "cells that no other beats in one figure without losing in the other"),
    ("effective footing", "threads, precision, layout, weights as the framework reported them, not as asked for"),
    ("n/a", "cannot be known here; never zero"),
]  # fmt: skip
NEXT = [
    ("surer: five processes a cell in place of three", "weighbridge run --effort standard"),
    ("by this machine's own noise floors", "weighbridge calibrate"),
    ("one row again", "open it in the table: its command is there, to copy"),
    ("fail a CI where something is slower, fatter or wrong: exit code 1", "weighbridge compare BEFORE AFTER"),
    ("your own task, or your own backend", "weighbridge run --tasks ./mine.py --backends ./my_backend.py"),
]
MARKS = {"FASTER": " good", "SLOWER": " bad", "UNSURE": " unsure"}
WRAPPED = ("scenario", "score", "parity", "task", "throughput ratio", "host peak", "page faults")


def render(overview: Overview) -> str:
    """The page. Rows of one run or of several."""
    shown, reference = overview.shown, overview.reference
    columns = used(shown.rows)
    colours = colours_of(shown.rows, reference)
    plots = chapters.chapters(shown.rows)
    known = {str(n): details.detail(row, reference, columns, shown.samples) for n, row in enumerate(shown.rows)}
    payload = {"colours": colours, "plots": [chapter.plots for chapter in plots], "rows": known}
    every, reasons = overview.answers, overview.gaps
    filters = [(name, of) for name, of in FILTERS if len({of(row) for row in shown.rows}) > 1]
    records = [row.record for row in shown.rows]
    style, script = _asset("uplot.css", "report.css"), _asset("uplot.js", "report.js")
    return _template().render(
        title=f"{overview.title}: Weighbridge",
        version=version("weighbridge") or git_commit(),
        style=style,
        style_hash=f"'{_hash(style)}'",
        script=script,
        script_hash=f"'{_hash(script)}'",
        lead=overview.lead or [overview.weighed.removesuffix(".")],
        weighed=overview.weighed,
        not_weighed=overview.not_weighed if overview.lead else "",
        sureness=overview.sureness,
        reference=reference,
        floors=floors(shown.rows),
        thinned=shown.words,
        answers=every.found,
        answers_left_out=every.left_out,
        gaps=reasons[:MOST_GAPS],
        gaps_left_out=max(0, len(reasons) - MOST_GAPS),
        ended=overview.ended,
        remarks=remarks(shown.rows),
        filters=[_filter(name, of, shown.rows) for name, of in filters],
        columns=columns,
        rows=[_line(row, columns, filters, colours) for row in shown.rows],
        processors=overview.processors,
        sections=overview.sections,
        most_lines=MOST_LINES,
        chapters=plots,
        bar_charts=bars.charts(shown.rows),
        colours=colours,
        glossary=[*((column.title, column.meaning.replace("`", "")) for column in columns), *GLOSSARY],
        next_commands=NEXT,
        sources=sources(records),
        machines=environment(records),
        plot_library=PLOT_LIBRARY,
        payload=inert_json(payload),
    )


@cache
def _template() -> Any:
    loader = FileSystemLoader(ASSETS)
    strict = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_text
    )
    return strict.get_template("report.html.j2")


def _text(value: Any) -> Any:
    """Text of a record's as a page may show it; our own mark-up, and what is no text, as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _asset(*names: str) -> Markup:
    """Our own files, and the plot library's; nothing of a record's is among them."""
    return Markup("\n".join((ASSETS / name).read_text(encoding="utf-8") for name in names))


def _hash(text: str) -> str:
    """Return a hash as a content security policy names an inline script or style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def inert_json(value: Any) -> Markup:
    """JSON that cannot end the script element it stands in, nor open another."""
    text = json_for_page(msgspec.json.encode(value).decode())
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def colours_of(rows: Sequence[Row], reference: str) -> dict[str, int]:
    """Executor -> index of its colour, everywhere on the page: the reference's first, then by name."""
    names = sorted({row.record.cell.executor for row in rows}, key=lambda name: (name != reference, name))
    return {name: index % COLOURS for index, name in enumerate(names)}


def _filter(name: str, of: Callable[[Row], str], rows: Sequence[Row]) -> dict[str, object]:
    return {"name": name, "options": sorted({of(row) for row in rows}, key=lambda text: (len(text), text)
                                            if text.isdecimal() else (0, text))}  # fmt: skip


def _line(
    row: Row, columns: list[Column], filters: list[tuple[str, Callable[[Row], str]]], colours: dict[str, int]
) -> dict[str, object]:
    values = msgspec.json.encode([of(row) for _, of in filters]).decode()
    return {
        "name": str(row.record.cell),
        "cells": [_cell(row, column, colours) for column in columns],
        "filters": values,
        "struck": row.struck,
    }


def _cell(row: Row, column: Column, colours: dict[str, int]) -> dict[str, object]:
    text = column.text(row)
    failed = column.title == "status" and row.record.status not in ("ok", "skipped")
    mark = " bad" if failed else MARKS.get(row.verdict or "", "") if column.title == "verdict" else ""
    return {
        "text": text,
        "title": column.title,
        "key": key(column.key(row)),
        "rank": column.rank,
        "mark": mark + (" wrap" if column.title in WRAPPED else ""),
        "colour": colours[row.record.cell.executor] if column.title == "backend" else None,
        "struck": bool(column.rank) and row.struck and column.title != "status",
    }


def key(value: float | str | None) -> str:
    """Return what a script sorts by; empty where there is nothing."""
    if value is None or value in ("–", "n/a") or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value if isinstance(value, str) else repr(float(value)).replace("inf", "1e999")
