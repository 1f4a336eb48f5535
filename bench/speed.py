"""Whether a cell is slower than it was: two whole runs, held to what whole runs of identical code differ by. Pure.

Two runs never took turns. The absolute step decides, beyond the larger of the threshold and the spread that was
measured between runs; the ratio to the reference, whose turns cancel the machine's mood, can only take a word back:
docs/design/008-the-gate.md.
"""

from __future__ import annotations

import math

import msgspec

from bench import stats
from bench.record import DEFAULT_BETWEEN_RUNS
from bench.stats import Interval, Verdict
from bench.summary import Summary

WORDS = {1: "faster", -1: "slower"}
WAY: dict[Verdict | None, int] = {"FASTER": 1, "SLOWER": -1}


class Judged(msgspec.Struct, frozen=True):
    """The word on a cell's speed, now against before, and why it is no clearer one."""

    verdict: Verdict
    limit: float
    why: str = ""


def between_runs(before: Summary, after: Summary) -> float | None:
    """How far whole runs of this cell's kind differ, where either side knows."""
    known = [each.between_runs for each in (before, after) if each.between_runs is not None]
    return max(known, default=None)


def limit(before: Summary, after: Summary, threshold: float) -> float:
    """What a difference must exceed: the threshold, and what identical code differs by."""
    spread = between_runs(before, after)
    return max(threshold, before.floor, after.floor, DEFAULT_BETWEEN_RUNS if spread is None else spread)


def speed(before: Summary, after: Summary) -> Interval:
    """Before over after: 2 means half the time now."""
    return stats.unpaired_ratio(stats.interval(before.quiet), stats.interval(after.quiet))


def judge(
    before: Summary, after: Summary, threshold: float, references: tuple[Summary | None, Summary | None] = (None, None)
) -> Judged:
    """The word on one cell; `references` are the reference's own, before and after, None for the reference itself."""
    bound = limit(before, after, threshold)
    if not (before.sure and after.sure):
        return Judged("UNSURE", bound, f"fewer than {stats.FEWEST_PROCESSES} undisturbed processes a side")
    word = stats.verdict(speed(before, after), bound, True)
    if word == "UNSURE":
        return Judged(word, bound, f"the interval reaches over the limit of {bound:.1%}")
    if word != "SAME" and shared(before, after, references, bound, WAY[word]):
        moved = WORDS[WAY[word]]
        return Judged("UNSURE", bound, f"the reference was {moved} by as much: the machine, or what both share")
    return Judged(word, bound)


def shared(
    before: Summary, after: Summary, references: tuple[Summary | None, Summary | None], bound: float, way: int
) -> bool:
    """Whether the reference moved beyond the limit in the same way, and the ratio to it did not."""
    was, now = references
    if was is None or now is None or not (was.processes and now.processes):
        return False
    over, under = to_reference(before, was), to_reference(after, now)
    if over is None or under is None:
        return False
    of_reference, of_ratio = way * math.log(speed(was, now).value), abs(math.log(under.value / over.value))
    return of_reference > math.log1p(bound) >= of_ratio


def to_reference(cell: Summary, reference: Summary) -> Interval | None:
    """Reference over cell, of turns that they took together; None where they took none, or too few undisturbed ones."""
    if cell.pairing != "interleaved" or reference.pairing != "interleaved" or cell.started != reference.started:
        return None
    ratios = stats.paired_ratios(reference.processes, cell.processes)
    return stats.interval(ratios) if stats.enough(ratios) else None
