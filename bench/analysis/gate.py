"""A run against another, cell by cell: what got slower, fatter or wrong. Pure.

A regression of speed is one that the whole interval shows, beyond the threshold and beyond what whole runs of
identical code differ by (`bench.analysis.speed`); where the interval only reaches there, or where the reference moved
alike, the word is UNSURE, and nothing fails. A process is a sample of memory, too: a regression is one that all show.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from operator import attrgetter
from typing import Literal

import msgspec

from weighbridge.bench.analysis import speed
from weighbridge.bench.analysis.summary import Facts, Run, Summary
from weighbridge.bench.analysis.upgrades import upgrades
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import DEFAULT_BETWEEN_RUNS
from weighbridge.bench.measure import statistics

Metric = Literal["status", "parity", "score", "speed", "host memory", "device memory"]
Kind = Literal["REGRESSION", "MISSING", "INCOMPARABLE", "UNSURE", "NEW", "IMPROVED", "UNCHANGED"]
PEAKS: dict[Metric, Callable[[Summary], list[int]]] = {
    "host memory": attrgetter("host_peaks"),
    "device memory": attrgetter("device_peaks"),
}
KINDS: tuple[Kind, ...] = ("REGRESSION", "MISSING", "INCOMPARABLE", "UNSURE", "NEW", "IMPROVED", "UNCHANGED")
"""In the order in which a reader wants them."""


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
    verdict: statistics.Verdict | None = None
    """Of speed, now against before; None where there is none to compare."""
    worse: list[Metric] = []
    better: list[Metric] = []
    undecided: list[Metric] = []
    """Of which the largest process grew beyond the threshold, and not every one."""
    limit: float | None = None
    """What a difference of speed had to exceed; None where there is none to compare."""
    against: str = ""
    """The backend the ratio to which decided; empty where the absolute step did."""
    ratio: statistics.Interval | None = None
    """To that backend, now over before."""
    unsure: str = ""
    """Why speed has no clearer word than UNSURE."""
    incomparable: str = ""
    """Why speeds are not compared, where both sides ran."""

    @property
    def speed(self) -> statistics.Interval | None:
        """Before over after, above 1 is faster now: of steps, or of ratios where these decided."""
        if self.before is None or self.after is None or self.verdict is None:
            return None
        return self.ratio or speed.speed(self.before, self.after)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of every cell, worst first."""

    changes: list[Change]
    thresholds: Thresholds
    warnings: list[str] = []
    upgrades: list[str] = []
    """Versions that differ."""

    @property
    def counts(self) -> dict[Kind, int]:
        """Count the cells of each kind."""
        found = Counter(change.kind for change in self.changes)
        return {kind: found[kind] for kind in KINDS}

    @property
    def failed(self) -> bool:
        """Whether the build does."""
        counts = self.counts
        incomplete = counts["MISSING"] + counts["INCOMPARABLE"]
        return counts["REGRESSION"] > 0 or (self.thresholds.require_all and incomplete > 0)


def judge(before: Run, after: Run, thresholds: Thresholds, reference: str = "") -> Outcome:
    """Two runs, paired by cell; raises WeighbridgeError where they share none, since that gate would guard nothing.

    `reference` is the backend that both runs' cells took turns with, empty where it is not known.
    """
    told = any(each.ratio_spread for run in (before, after) for each in run.cells.values())
    backends = {cell.backend for cell in before.cells} if told else frozenset[str]()
    found = [
        change(cell, each, after.cells.get(cell), thresholds, *companions(before, after, cell, reference, backends))
        for cell, each in before.cells.items()
    ]
    shared = sum(each.after is not None for each in found)
    if not shared:
        raise WeighbridgeError(f"{before.path} and {after.path} have no cell in common; compare runs of one suite")
    if shared < len(after.cells):
        found += [
            change(cell, None, each, thresholds) for cell, each in after.cells.items() if cell not in before.cells
        ]
    found.sort(key=lambda each: KINDS.index(each.kind))
    return Outcome(
        changes=found,
        thresholds=thresholds,
        warnings=[*warnings(before, after), *unmeasured(found)],
        upgrades=upgrades(before, after),
    )


def companions(
    before: Run, after: Run, cell: Cell, reference: str, backends: AbstractSet[str]
) -> tuple[speed.Pair | None, list[speed.Pair]]:
    """Return who may excuse a cell (nobody the reference), and whose ratio to it may tell: the reference's, or all's.

    `backends` are those of the run; none where no spread of a ratio was measured, by which one could tell.
    """
    if not reference or (cell.is_reference(reference) and not backends):
        return None, []
    names = backends - {reference} if cell.is_reference(reference) else {reference}
    found: list[speed.Pair] = []
    for name in sorted(names):
        alongside = msgspec.structs.replace(cell, backend=name, options=())
        was, now = before.cells.get(alongside), after.cells.get(alongside)
        if was is not None and now is not None:
            found.append((was, now))
    return (found[0] if found and not cell.is_reference(reference) else None), found


def change(
    cell: Cell,
    before: Summary | None,
    after: Summary | None,
    thresholds: Thresholds,
    excuse: speed.Pair | None = None,
    witnesses: Sequence[speed.Pair] = (),
) -> Change:
    """Decide what became of one cell."""
    if before is None or after is None or "skipped" in (before.status, after.status):
        return Change(cell=cell, before=before, after=after, kind=_one_sided(before, after))
    moved, judged, incomparable = _status(before, after), None, ""
    if before.status == after.status == "ok":
        incomparable = why_not(before, after)
        if before.processes and not incomparable:
            judged = speed.judge(before, after, thresholds.speed, excuse, witnesses)
        moved["speed"] = speed.WAY.get(judged.verdict, 0) if judged else 0
        moved["score"] = _score(before, after, thresholds.score)
        moved |= {metric: _memory(of(before), of(after), thresholds.memory) for metric, of in PEAKS.items()}
    worse: list[Metric] = [metric for metric, way in moved.items() if way < 0]
    better: list[Metric] = [metric for metric, way in moved.items() if way > 0]
    undecided: list[Metric] = [metric for metric in _fatter(before, after, thresholds.memory) if moved.get(metric) == 0]
    verdict = judged.verdict if judged else None
    return Change(
        cell=cell,
        before=before,
        after=after,
        kind=_kind(worse, better, verdict == "UNSURE" or bool(undecided), incomparable),
        verdict=verdict,
        limit=judged.limit if judged else None,
        against=judged.against if judged else "",
        ratio=judged.ratio if judged else None,
        unsure=judged.why if judged else "",
        worse=worse,
        better=better,
        undecided=undecided,
        incomparable=incomparable,
    )


def _kind(worse: list[Metric], better: list[Metric], unsure: bool, incomparable: str) -> Kind:
    if worse:
        return "REGRESSION"
    if incomparable:
        return "INCOMPARABLE"
    if unsure:
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
    return unequal_footing(before.facts, after.facts)


def unequal_footing(before: Facts, after: Facts) -> str:
    """Return in which facts the runs differ; what neither states is as it was, since a cell is compared with itself."""
    names = [name for name in Facts.__struct_fields__ if getattr(before, name) != getattr(after, name)]
    return "; ".join(f"{name} {_said(after, name)} against {_said(before, name)}" for name in names)


def _said(facts: Facts, name: str) -> str:
    value = getattr(facts, name)
    return "(not stated)" if value is None else str(value)


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


def _memory(before: Sequence[int], after: Sequence[int], threshold: float) -> int:
    """-1 where every process took more than every one before, by more than the threshold; 0 where a side is unknown."""
    if not before or not after:
        return 0
    shrank, grew = min(before) > max(after) * (1 + threshold), min(after) > max(before) * (1 + threshold)
    return shrank - grew


def _fatter(before: Summary, after: Summary, threshold: float) -> list[Metric]:
    """Whose largest process grew by more than the threshold, whatever the others say."""
    return [
        metric
        for metric, of in PEAKS.items()
        if 0 < max(of(before), default=0) * (1 + threshold) < max(of(after), default=0)
    ]


def warnings(before: Run, after: Run) -> list[str]:
    """Return what a reader must know before believing any of it."""
    found = [told for run in (before, after) for told in run.unreadable]
    was, now = (sorted({each.machine for each in run.cells.values() if each.machine}) for run in (before, after))
    if was and now and was != now:
        found.append(f"before was measured on {', '.join(was)}, after on {', '.join(now)}: speeds are of both machines")
    if any(each.processes and not each.sure for run in (before, after) for each in run.cells.values()):
        found.append(
            f"cells of fewer than {statistics.FEWEST_PROCESSES} undisturbed processes have no verdict of speed; "
            "weigh both sides anew on a machine with nothing else to do"
        )
    return found


def unmeasured(changes: Sequence[Change]) -> list[str]:
    """Return a line where nobody measured what whole runs differ by, and what to type."""
    lacking = [
        each.cell
        for each in changes
        if each.verdict and each.before and each.after and speed.between_runs(each.before, each.after) is None
    ]
    if not lacking:
        return []
    tasks, backends = (sorted({getattr(cell, name) for cell in lacking}) for name in ("task", "backend"))
    return [
        f"how far whole runs differ was not measured for {len(lacking):,} cells, {DEFAULT_BETWEEN_RUNS:.0%} stands in; "
        f"type, before the next run: weighbridge calibrate --tasks {','.join(tasks)} --backends {','.join(backends)}"
    ]
