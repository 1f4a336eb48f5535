"""What changed between two runs: rows of text, Markdown for a pull request, JSON."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from weighbridge.bench.analysis.gate import Change, Kind, Metric, Outcome
from weighbridge.bench.analysis.summary import Summary
from weighbridge.bench.measure import statistics
from weighbridge.bench.report.markup import escape, grid
from weighbridge.bench.report.units import percent, seconds, size, times

QUIET: tuple[Kind, ...] = ("UNCHANGED",)
"""Kinds that are counted and not shown."""
HEADINGS = ("", "cell", "before", "after", "speed", "what")
MOST_ROWS = 200
"""In Markdown: a pull request's comment holds 65,536 characters."""


def headline(outcome: Outcome) -> str:
    """The verdict in one line."""
    counts = outcome.counts
    words = [f"{count:,} {kind.lower()}" for kind, count in counts.items() if count and kind != "REGRESSION"]
    regressions = counts["REGRESSION"]
    first = f"{regressions:,} regression{'s' if regressions != 1 else ''}" if regressions else "No regression"
    incomplete = "incomplete, and --require-all was asked for" if outcome.failed and not regressions else ""
    return f"{first}: {'; '.join(word for word in (incomplete, ', '.join(words)) if word)}".removesuffix(": ") + "."


def shown(outcome: Outcome, most: int) -> tuple[list[list[str]], int]:
    """Rows of what changed, regressions first, and how many more there are."""
    told = [change for change in outcome.changes if change.kind not in QUIET]
    return [row(change) for change in told[:most]], len(told) - len(told[:most])


def row(change: Change) -> list[str]:
    """Under HEADINGS."""
    speed = change.speed
    ratio = times(speed.value if speed else None, speed)
    return [change.kind, str(change.cell), _side(change.before), _side(change.after), ratio, "; ".join(what(change))]


def _side(side: Summary | None) -> str:
    if side is None:
        return "missing"
    return side.status if side.status != "ok" else seconds(side.step_s)


def what(change: Change) -> list[str]:
    """Everything that moved or could not be compared, in words; what got worse comes first."""
    after, before = change.after, change.before
    if before is None or after is None:
        return [f"only {'after' if after else 'before'}"]
    moved = [WORDS[metric](before, after, change) for metric in (*change.worse, *change.better)]
    unsure = [f"speed unsure: {change.unsure}"] if change.unsure else []
    unsure += [f"{metric} unsure: {WORDS[metric](before, after, change)}" for metric in change.undecided]
    bar = [f"speeds not compared: {change.incomparable}"] if change.incomparable else []
    return moved + unsure + bar or [after.reason or after.status]


def _speed(before: Summary, after: Summary, change: Change) -> str:
    ratio = change.speed or statistics.NOTHING
    told = f"{percent(ratio.value - 1)} faster" if ratio.value > 1 else f"{percent(1 / ratio.value - 1)} slower"
    return f"{told} against {change.against}, which took turns with it" if change.against else told


def _status(before: Summary, after: Summary, change: Change) -> str:
    return f"{before.status}, now {after.status}" + (f": {after.reason}" if after.reason else "")


def _parity(before: Summary, after: Summary, change: Change) -> str:
    texts: list[str] = []
    for parity in (before.parity, after.parity):
        ratio = "not finite" if parity and parity.ratio is None else f"{parity.ratio:.2f}" if parity else ""
        texts.append(f"{ratio} of {parity.limit:g}" if parity else "not shown")
    return f"parity {texts[0]}, now {texts[1]}"


def _score(before: Summary, after: Summary, change: Change) -> str:
    return f"{before.metric} {before.score:.4f}, now " + ("n/a" if after.score is None else f"{after.score:.4f}")


def _host_memory(before: Summary, after: Summary, change: Change) -> str:
    return f"host peak {_of_processes(before.host_peaks)}, now {_of_processes(after.host_peaks)}"


def _device_memory(before: Summary, after: Summary, change: Change) -> str:
    return f"device peak {_of_processes(before.device_peaks)}, now {_of_processes(after.device_peaks)}"


def _of_processes(peaks: list[int]) -> str:
    least, most = size(min(peaks)), size(max(peaks))
    return most if least == most else f"{least} to {most}"


WORDS: dict[Metric, Callable[[Summary, Summary, Change], str]] = {
    "status": _status,
    "parity": _parity,
    "score": _score,
    "speed": _speed,
    "host memory": _host_memory,
    "device memory": _device_memory,
}


def told_upgrades(outcome: Outcome) -> str:
    """The versions that differ, in a line; empty where none does."""
    return f"Versions: {'; '.join(outcome.upgrades)}." if outcome.upgrades else ""


def limits(outcome: Outcome) -> str:
    """The thresholds, in words."""
    limits = outcome.thresholds
    shares = ", ".join(f"{name} {percent(getattr(limits, name))}" for name in ("speed", "memory", "score"))
    spread = "beyond what whole runs of identical code differ by"
    return f"Regression: worse by more than {shares} (speed: with its whole 95 % interval, and {spread})."


def markdown(outcome: Outcome) -> str:
    """Render for a pull request: the verdict, what changed, what it was held against."""
    rows, more = shown(outcome, MOST_ROWS)
    parts = [
        f"## Weighbridge: {escape(headline(outcome))}",
        grid(HEADINGS, [map(escape, row) for row in rows]) if rows else "",
        f"… and {more:,} more" if more else "",
        escape(told_upgrades(outcome)),
        "\n".join(f"- {escape(text)}" for text in outcome.warnings),
        limits(outcome),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def as_json(outcome: Outcome) -> dict[str, object]:
    """Everything, every cell."""
    return {
        "failed": outcome.failed,
        "headline": headline(outcome),
        "counts": outcome.counts,
        "thresholds": outcome.thresholds,
        "warnings": outcome.warnings,
        "upgrades": outcome.upgrades,
        "changes": [_json(change) for change in outcome.changes],
    }


NAMES = ("kind", "verdict", "speed", "limit", "against", "worse", "better", "undecided", "unsure", "incomparable")


def _json(change: Change) -> dict[str, object]:
    sides = {name: _json_side(side) for name, side in (("before", change.before), ("after", change.after))}
    words = {name: getattr(change, name) for name in NAMES}
    return {"id": change.cell.id, "cell": str(change.cell), **words, "what": what(change), **sides}


def _json_side(side: Summary | None) -> dict[str, object] | None:
    if side is None:
        return None
    names = ("status", "reason", "score", "metric", "parity", "host_peak_bytes", "device_peak_bytes", "started")
    return {"step_s": side.step_s, **{name: msgspec.to_builtins(getattr(side, name)) for name in names}}
