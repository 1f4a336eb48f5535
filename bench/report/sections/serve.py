"""MLPerf's scenarios side by side: a line a cell as it is opened, with what its four scenarios gave."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import msgspec

from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.report.sections.section import Grid, Section
from weighbridge.bench.report.texts import ratio, verdict
from weighbridge.bench.report.units import number, percent, seconds
from weighbridge.bench.scenarios.serve import stopping
from weighbridge.bench.scenarios.serve.audit import AuditResult
from weighbridge.bench.scenarios.serve.result import OfflineResult, Result, ServerResult, StreamResult, read
from weighbridge.bench.scenarios.serve.settings import PERCENTILE

SCENARIOS = ("single_stream", "multi_stream", "offline", "server")
HEADINGS = (
    "cell", "single stream p50 / p90 / p99", "multi stream p99", "offline", "server", "of the reference's",
    "at that rate p50 / p99", "generator late p99 / max", "audit",
)  # fmt: skip
NOTES = (
    "Latency of single stream and multi stream: closed loop, one query after the other (multi stream: 8 samples a "
    "query). p90 of single stream and p99 of multi stream are MLPerf's early-stopping estimates: with 99 % confidence "
    "the percentile is no larger.",
    "Server: queries of one sample that arrive by a Poisson process, latency from the moment at which each was due; "
    "the highest rate at which the p99 holds the bound with 99 % confidence, to 5 %, confirmed by a longer run with "
    "other arrivals. A query that comes to a full queue is rejected and counts as over the bound.",
    "Servers were searched one after the other, in one process each: a ratio of their rates is UNSURE. The other "
    "three took turns; their ratios and verdicts stand in the table of all rows.",
    "Audit: TEST01, outputs under load against those of scoring, the largest relative error; TEST04, how many times as "
    "fast one sample over and over is (limit 1.10).",
)  # fmt: skip
R = TypeVar("R", bound=Result)


class Served(msgspec.Struct, frozen=True):
    """The rows of one cell under the four scenarios, by scenario; of a server with one set of settings."""

    cell: Cell
    rows: dict[str, Row]

    def results(self, scenario: str, kind: type[R]) -> list[R]:
        """Return what the processes of a scenario told."""
        row = self.rows.get(scenario)
        told = map(read, row.record.processes) if row and row.record.status in ("ok", "implausible") else ()
        return [each for each in told if isinstance(each, kind)]

    @property
    def failed(self) -> Row | None:
        """A row that has nothing to show."""
        bad = (row for row in self.rows.values() if row.record.status not in ("ok", "implausible"))
        return next(bad, None)


def section(rows: Sequence[Row]) -> Section | None:
    """Return what there is to say of rows of these scenarios; None where there are none."""
    found = served(row for row in rows if row.record.cell.scenario in SCENARIOS)
    lines = [line(each) for each in found]
    return Section("MLPerf's scenarios", [Grid("", "", HEADINGS, lines)], NOTES) if lines else None


def served(rows: Iterable[Row]) -> list[Served]:
    """Return rows of one cell together; a server's other settings are a line of their own."""
    several: dict[tuple[object, ...], list[dict[str, Row]]] = {}
    for row in rows:
        cell = row.record.cell
        alike = several.setdefault((row.run, msgspec.structs.replace(cell, scenario="", settings=())), [])
        place = next((each for each in alike if cell.scenario not in each), None)
        if place is None:
            alike.append(place := {})
        place[cell.scenario] = row
    return [Served(next(iter(each.values())).record.cell, each) for alike in several.values() for each in alike]


def name(cell: Cell) -> str:
    """Return what the four have in common."""
    return str(msgspec.structs.replace(cell, scenario="", settings=())).replace("  ", " ")


def line(found: Served) -> list[str]:
    """Return a cell's texts, under HEADINGS."""
    single, multi = (found.results(each, StreamResult) for each in ("single_stream", "multi_stream"))
    if not any((single, multi, found.results("offline", OfflineResult), found.results("server", ServerResult))):
        failed = found.failed
        told = f"{failed.record.status}: {failed.record.reason}" if failed else "nothing was told"
        return [name(found.cell), told, *[""] * (len(HEADINGS) - 2)]
    return [
        name(found.cell), _single(found), _multi(found), _offline(found), _server(found), _ratio(found),
        *_at_that_rate(found), _audit(found),
    ]  # fmt: skip


def latencies(found: Served, scenario: str) -> list[float]:
    """Return every query's seconds: those of the turns, and those after them."""
    told = found.results(scenario, StreamResult)
    return [*found.rows[scenario].record.step_s, *(each for result in told for each in result.more_s)] if told else []


def _single(found: Served) -> str:
    taken = latencies(found, "single_stream")
    if not taken:
        return ""
    p50, p99 = seconds(stopping.plain(taken, 0.5)), stopping.estimate(taken, 0.99)
    return f"{p50} / {_bounded(taken, 'single_stream')} / {seconds(p99) if p99 else 'n/a'}"


def _multi(found: Served) -> str:
    taken = latencies(found, "multi_stream")
    return _bounded(taken, "multi_stream") if taken else ""


def _bounded(taken: Sequence[float], scenario: str) -> str:
    bound = stopping.estimate(taken, PERCENTILE[scenario])
    return seconds(bound) if bound else "n/a"


def _offline(found: Served) -> str:
    told = found.results("offline", OfflineResult)
    taken = sum(each.seconds for each in told)
    if not taken:
        return ""
    about = found.rows["offline"].record.about
    return f"{number(sum(each.samples for each in told) / taken)} {about.item if about else 'sample'}s/s"


def _server(found: Served) -> str:
    told = found.results("server", ServerResult)
    if not told:
        return ""
    (result,) = told
    lost = f"; {result.lost:,} LOST" if result.lost else ""
    bound = f"p99 within {seconds(result.bound_s)}"
    if result.search.best:
        return f"{number(result.search.best.rate)} queries/s, {bound}{lost}"
    tried = min(probe.rate for probe in result.search.probes)
    return f"no rate holds {bound}; {number(tried)} queries/s does not{lost}"


def _ratio(found: Served) -> str:
    """Return the ratio of highest rates; only where both are right and on equal footing."""
    row = found.rows.get("server")
    if row is None or row.ratio is None or row.record.cell.is_reference(row.reference):
        return ""
    return f"{ratio(row)} {verdict(row)}"


def _at_that_rate(found: Served) -> list[str]:
    """Latencies at the confirmed rate, and the generator's own error over all runs."""
    told = found.results("server", ServerResult)
    if not told:
        return ["", ""]
    best, probes = told[0].search.best, told[0].search.probes
    at_best = f"{seconds(best.p50_s)} / {seconds(best.p99_s)}" if best else ""
    late = [probe.error_p99_s for probe in probes], [probe.error_max_s for probe in probes]
    return [at_best, " / ".join(seconds(max(each)) for each in late)]


def _audit(found: Served) -> str:
    """The worst of the scenarios'."""
    results = (result for row in found.rows.values() for result in map(read, row.record.processes) if result)
    audits = [result.audit for result in results if result.audit]
    return _said(min(audits, key=lambda audit: (audit.passed, -(audit.error or 0.0)))) if audits else ""


def _said(found: AuditResult) -> str:
    error = "not finite" if found.error is None else f"{found.error:.1e}"
    words = "passed" if found.passed else "FAILED"
    equal = found.decisions_equal
    decisions = "" if equal in (None, 1.0) else f", {percent(equal or 0)} decisions equal"
    return f"{words}: TEST01 {error} of {found.samples} samples{decisions}, TEST04 {found.repeat_speedup:.2f}×"
