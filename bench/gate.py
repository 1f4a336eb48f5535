"""A run against another, cell by cell: what got slower, fatter or wrong. Pure.

Two runs never took turns, so that speeds are compared by the intervals of their medians. A regression of speed is
one that the whole interval shows, beyond the threshold and the machine's noise floor; where the interval only
reaches there the word is UNSURE, and nothing fails.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Literal

import msgspec

from bench import stats
from bench.compare import unequal_footing
from bench.core import Cell, WeighbridgeError
from bench.summary import Run, Summary

Metric = Literal["status", "parity", "score", "speed", "host memory", "device memory"]
Kind = Literal["REGRESSION", "MISSING", "INCOMPARABLE", "UNSURE", "NEW", "IMPROVED", "UNCHANGED"]
KINDS: tuple[Kind, ...] = ("REGRESSION", "MISSING", "INCOMPARABLE", "UNSURE", "NEW", "IMPROVED", "UNCHANGED")
"""In the order in which a reader wants them."""
FAILURES = ("oom", "timeout", "crashed", "parity_failed")
WAY: dict[stats.Verdict | None, int] = {"FASTER": 1, "SLOWER": -1}


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """How much worse, relative, is a regression. Parity that is lost, and a cell that now fails, always are."""

    speed: float = 0.05
    memory: float = 0.10
    score: float = 0.01
    require_all: bool = False
    """Whether a cell that is missing, or that cannot be compared, fails the gate too."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A cell in two runs."""

    cell: Cell
    before: Summary | None
    after: Summary | None
    kind: Kind
    verdict: stats.Verdict | None = None
    """Of speed, now against before; None where there is none to compare."""
    worse: list[Metric] = []
    better: list[Metric] = []
    incomparable: str = ""
    """Why speeds are not compared, where both sides ran."""

    @property
    def speed(self) -> stats.Interval | None:
        """Before over after, above 1 is faster now. Worked out on demand: a bootstrap takes a millisecond."""
        return speed(self.before, self.after) if self.before and self.after and self.verdict else None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of every cell, worst first."""

    changes: list[Change]
    thresholds: Thresholds
    warnings: list[str] = []

    @property
    def counts(self) -> dict[Kind, int]:
        """How many cells of each kind."""
        found = Counter(change.kind for change in self.changes)
        return {kind: found[kind] for kind in KINDS}

    @property
    def failed(self) -> bool:
        """Whether the build does."""
        counts = self.counts
        incomplete = counts["MISSING"] + counts["INCOMPARABLE"]
        return counts["REGRESSION"] > 0 or (self.thresholds.require_all and incomplete > 0)


def judge(before: Run, after: Run, thresholds: Thresholds) -> Outcome:
    """Two runs, paired by cell; raises WeighbridgeError where they share none, since that gate would guard nothing."""
    found = [change(cell, each, after.cells.get(cell), thresholds) for cell, each in before.cells.items()]
    shared = sum(each.after is not None for each in found)
    if not shared:
        raise WeighbridgeError(f"{before.path} and {after.path} have no cell in common; compare runs of one suite")
    if shared < len(after.cells):
        found += [
            change(cell, None, each, thresholds) for cell, each in after.cells.items() if cell not in before.cells
        ]
    found.sort(key=lambda each: KINDS.index(each.kind))
    return Outcome(changes=found, thresholds=thresholds, warnings=warnings(before, after))


def change(cell: Cell, before: Summary | None, after: Summary | None, thresholds: Thresholds) -> Change:
    """What became of one cell."""
    if before is None or after is None or "skipped" in (before.status, after.status):
        return Change(cell=cell, before=before, after=after, kind=_one_sided(before, after))
    moved, verdict, incomparable = _status(before, after), None, ""
    if before.status == after.status == "ok":
        incomparable = why_not(before, after)
        verdict = None if incomparable or not before.processes else speed_verdict(before, after, thresholds.speed)
        moved["speed"] = WAY.get(verdict, 0)
        moved["score"] = _score(before, after, thresholds.score)
        moved["host memory"] = _memory(before.host_peak_bytes, after.host_peak_bytes, thresholds.memory)
        moved["device memory"] = _memory(before.device_peak_bytes, after.device_peak_bytes, thresholds.memory)
    worse: list[Metric] = [metric for metric, way in moved.items() if way < 0]
    better: list[Metric] = [metric for metric, way in moved.items() if way > 0]
    return Change(
        cell=cell,
        before=before,
        after=after,
        kind=_kind(worse, better, verdict, incomparable),
        verdict=verdict,
        worse=worse,
        better=better,
        incomparable=incomparable,
    )


def _kind(worse: list[Metric], better: list[Metric], verdict: stats.Verdict | None, incomparable: str) -> Kind:
    if worse:
        return "REGRESSION"
    if incomparable:
        return "INCOMPARABLE"
    if verdict == "UNSURE":
        return "UNSURE"
    return "IMPROVED" if better else "UNCHANGED"


def _one_sided(before: Summary | None, after: Summary | None) -> Kind:
    """A cell that was skipped is as good as absent."""
    was, now = (each is not None and each.status != "skipped" for each in (before, after))
    return "MISSING" if was else "NEW" if now else "UNCHANGED"


def why_not(before: Summary, after: Summary) -> str:
    """Why speeds cannot be compared; empty where they can, or where there never were any."""
    if bool(before.processes) != bool(after.processes):
        return f"no usable times {'after' if before.processes else 'before'}"
    if before.facts == after.facts:
        return ""
    now, was = (msgspec.to_builtins(each.facts) for each in (after, before))
    return unequal_footing(now, was)


def speed(before: Summary, after: Summary) -> stats.Interval:
    """Before over after: 2 means half the time now."""
    return stats.unpaired_ratio(stats.interval(before.processes), stats.interval(after.processes))


def speed_verdict(before: Summary, after: Summary, threshold: float) -> stats.Verdict:
    """Against the larger of threshold and noise floors.

    Nothing is drawn where the extreme blocks decide already: every interval of medians lies between their quotients.
    """
    limit = max(threshold, before.floor, after.floor)
    was, now = ([step_s for process in each.processes for step_s in process] for each in (before, after))
    blocks = min(len(was), len(now))
    widest = stats.Interval(math.nan, min(was) / max(now), max(was) / min(now))
    word = stats.verdict(widest, limit, blocks)
    return stats.verdict(speed(before, after), limit, blocks) if word == "UNSURE" else word


def _status(before: Summary, after: Summary) -> dict[Metric, int]:
    """Whether a cell still runs, and is still right: 1 better, -1 worse."""
    return {"status": (after.status == "ok") - (before.status == "ok"), "parity": _parity(before, after)}


def _parity(before: Summary, after: Summary) -> int:
    """A parity that was shown and now fails, or is no longer shown, is lost; a cell that died never got that far."""
    was = before.parity is not None and before.parity.passed
    now = after.parity is not None and after.parity.passed
    reached = after.status in ("ok", "parity_failed")
    return now - was if reached and before.parity else 0


def _score(before: Summary, after: Summary, threshold: float) -> int:
    """-1 where it fell by more than the threshold, or is no number any more."""
    if before.score is None or not math.isfinite(before.score):
        return 0
    if after.score is None or not math.isfinite(after.score) or before.metric != after.metric:
        return -1
    gained = (after.score - before.score) * (1 if before.higher_is_better else -1)
    slack = threshold * abs(before.score)
    return (gained > slack) - (gained < -slack)


def _memory(before: int | None, after: int | None, threshold: float) -> int:
    """-1 where it grew by more than the threshold; what cannot be known on one side is no change."""
    if before is None or after is None:
        return 0
    return (before > after * (1 + threshold)) - (after > before * (1 + threshold))


def warnings(before: Run, after: Run) -> list[str]:
    """What a reader must know before believing any of it."""
    torn = [run for run in (before, after) if run.unreadable]
    found = [f"{run.unreadable} lines of {run.path} are no records and were left out" for run in torn]
    was, now = (sorted({each.machine for each in run.cells.values() if each.machine}) for run in (before, after))
    if was and now and was != now:
        found.append(f"before was measured on {', '.join(was)}, after on {', '.join(now)}: speeds are of both machines")
    if any(len(each.processes) == 1 for run in (before, after) for each in run.cells.values()):
        found.append("cells of one process: no interval holds what differs between processes; --tier standard does")
    return found
