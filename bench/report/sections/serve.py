"""MLPerf's scenarios, in words: one row a cell, the same in the terminal and in load.md."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis import ratios
from bench.measure import sides
from bench.report.markdown import escape, grid
from bench.report.units import number, percent, seconds
from bench.scenarios.serve import stopping
from bench.scenarios.serve.result import Loaded, Serving, Streamed

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
    "Cells were measured one after the other, not in turns: a ratio of rates within 18 % of 1 says nothing.",
    "Audit: TEST01, outputs under load against those of scoring, the largest relative error; TEST04, how many times as "
    "fast one sample over and over is (limit 1.10).",
)  # fmt: skip


def rows(trials: Sequence[Loaded], reference: str) -> list[list[str]]:
    """Under HEADINGS."""
    references = {sides.group(trial.cell): trial for trial in trials if trial.cell.backend == reference}
    return [row(trial, references.get(sides.group(trial.cell))) for trial in trials]


def row(trial: Loaded, reference: Loaded | None) -> list[str]:
    """One cell's."""
    if trial.status != "ok":
        return [str(trial.cell), f"{trial.status}: {trial.reason}", *[""] * (len(HEADINGS) - 2)]
    rate = trial.offline.rate if trial.offline else None
    item = trial.about.item if trial.about else "sample"
    return [
        str(trial.cell), _single(trial.single_stream), _bounded(trial.multi_stream),
        f"{number(rate)} {item}s/s" if rate else "", _server(trial.server), _ratio(trial, reference),
        *_serving(trial.server), _audit(trial),
    ]  # fmt: skip


def _single(found: Streamed | None) -> str:
    if found is None:
        return ""
    p50 = seconds(stopping.plain(found.latencies_s, 0.5))
    p99 = stopping.estimate(found.latencies_s, 0.99)
    return f"{p50} / {_bounded(found)} / {seconds(p99) if p99 else 'n/a'}"


def _bounded(found: Streamed | None) -> str:
    if found is None:
        return ""
    return seconds(found.bound_s) if found.bound_s else "n/a"


def _server(found: Serving | None) -> str:
    if found is None:
        return ""
    lost = f"; {found.lost:,} LOST" if found.lost else ""
    bound = f"p99 within {seconds(found.bound_s)}"
    if found.search.best:
        return f"{number(found.search.best.rate)} queries/s, {bound}{lost}"
    tried = min(probe.rate for probe in found.search.probes)
    return f"no rate holds {bound}; {number(tried)} queries/s does not{lost}"


def _ratio(trial: Loaded, reference: Loaded | None) -> str:
    """Of highest rates; only where both are right and on equal footing."""
    if reference is None or reference is trial or not (trial.right and reference.right):
        return ""
    ours, theirs = (each.server.search.best if each.server else None for each in (trial, reference))
    if not (ours and theirs) or ratios.unequal_footing(trial.facts, reference.facts):
        return ""
    return f"{ours.rate / theirs.rate:.2f}×"


def _serving(found: Serving | None) -> list[str]:
    """Latencies at the confirmed rate, and the generator's own error over all runs."""
    if found is None:
        return ["", ""]
    best, probes = found.search.best, found.search.probes
    at_best = f"{seconds(best.p50_s)} / {seconds(best.p99_s)}" if best else ""
    late = [probe.error_p99_s for probe in probes], [probe.error_max_s for probe in probes]
    return [at_best, " / ".join(seconds(max(each)) for each in late)]


def _audit(trial: Loaded) -> str:
    found = trial.audit
    if found is None:
        return ""
    error = "not finite" if found.error is None else f"{found.error:.1e}"
    words = "passed" if found.passed else "FAILED"
    decisions = (
        "" if found.decisions_equal in (None, 1.0) else f", {percent(found.decisions_equal or 0)} decisions equal"
    )
    return f"{words}: TEST01 {error} of {found.samples} samples{decisions}, TEST04 {found.repeat_speedup:.2f}×"


def markdown(trials: Sequence[Loaded], reference: str) -> str:
    """For a pull request: what was weighed where, the table, how to read it."""
    table = grid(HEADINGS, [map(escape, row) for row in rows(trials, reference)])
    where = sorted({str(trial.environment.get("machine", "")) for trial in trials} - {""})
    tiers = sorted({trial.tier for trial in trials} - {""})
    title = f"MLPerf's scenarios: {', '.join(where) or 'no machine'}, tier {', '.join(tiers) or 'unknown'}"
    notes = "\n".join(f"- {note}" for note in NOTES)
    return "\n\n".join([f"## {escape(title)}", table, notes]) + "\n"


def blocks(trials: Sequence[Loaded], reference: str) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """For a terminal: each cell, and what there is to say of it."""
    for name, *texts in rows(trials, reference):
        yield name, [(heading, text) for heading, text in zip(HEADINGS[1:], texts, strict=True) if text]
