"""One side of a comparison: what of a record it needs, computed once. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.process import Process
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.speeds import HasTimes, Speeds, covering, speeds


def turns(this: Turns, that: Turns) -> tuple[statistics.Interval, int, bool]:
    """Return the ratio of blocks that took turns, how many there were, and whether a verdict may be given of it.

    Turns in which either side had a busy neighbour are left out; where that leaves none, all are shown. Of too few, or
    of crowded ones, there is no verdict.
    """
    quiet = statistics.paired_ratios(that.quiet, this.quiet)
    ratios = quiet if any(quiet) else statistics.paired_ratios(that.every, this.every)
    return _covering(statistics.interval(ratios), this, that), sum(map(len, ratios)), statistics.enough(quiet)


def medians(this: Turns, that: Turns) -> tuple[statistics.Interval, int, bool]:
    """Return the same of medians that were taken one after the other."""
    quiet = [statistics.known(side.quiet) for side in (that, this)]
    sure = all(map(statistics.enough, quiet))
    over, under = quiet if all(map(any, quiet)) else (that.every, this.every)
    blocks = min(sum(map(len, side)) for side in (over, under))
    ratio = statistics.unpaired_ratio(statistics.interval(over), statistics.interval(under))
    return _covering(ratio, this, that), blocks, sure


def _covering(ratio: statistics.Interval, this: Turns, that: Turns) -> statistics.Interval:
    """The interval, from fast steps to slow ones where a side's have two speeds."""
    if this.speeds is None and that.speeds is None:
        return ratio
    over, under = (side.speeds or Speeds(*[statistics.interval(side.every).value] * 2) for side in (that, this))
    return covering(ratio, over, under)


def in_turns(this: Side, that: Side) -> bool:
    """Whether blocks pair: a retry measures anew, and beside nobody of the first time."""
    record, other = this.record, that.record
    return record.started == other.started and record.pairing == other.pairing == "interleaved"


SHORTEST_S = 1e-12
Group = tuple[object, ...]
Blocks = list[list[float]]
"""Seconds a step of each block, process by process."""


class Turns(NamedTuple):
    """Blocks of every turn, and the same with NaN where a neighbour was busy."""

    every: Blocks
    quiet: Blocks
    speeds: Speeds | None = None
    """Of the steps, where they have two."""


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """What a comparison needs of a record, computed once: a reference is compared with many."""

    record: Record
    group: Group
    steps: Turns
    """Medians of blocks; empty where there is no usable time."""
    queued: Turns
    """Of queued steps; empty where they were no part of the turns."""
    samples: int
    """How many steps were timed."""
    step_s: float
    """NaN where there is none."""
    score: float | None
    camp: str


def side(record: Record) -> Side:
    """Reduce a record to what ratios need."""
    steps, processes = record.step_s, record.timed
    blocks = blocks_of(processes)
    crowded = [each.crowded for each in processes]
    some = any(map(any, crowded))
    return Side(
        record=record,
        group=group(record.cell),
        steps=_marked(blocks, crowded if some else ())._replace(speeds=speeds(processes) if blocks else None),
        queued=_marked(queued(processes), crowded if some else ()),
        samples=len(steps),
        step_s=statistics.median(steps),
        score=main_score(record),
        camp=str(record.facts.get("camp") or ""),
    )


def queued(processes: Sequence[Process]) -> Blocks:
    """Queued blocks, process by process; none where they were no part of the turns."""
    if not all(process.queued_in_turns and usable(process.queued_step_s) for process in processes):
        return []
    found = [process.queued_step_s for process in processes]
    return found if any(found) else []


def _marked(blocks: Blocks, crowded: Sequence[Sequence[bool]]) -> Turns:
    return Turns(blocks, statistics.without(blocks, crowded) if crowded else blocks)


def group(cell: Cell) -> Group:
    """Return `Cell.group` without its hash, of which a hundred thousand take a second."""
    return (
        cell.task, cell.preset, cell.scenario, cell.precision, cell.batch_size, cell.device, cell.seed, cell.settings,
    )  # fmt: skip


def blocks_of(processes: Sequence[HasTimes]) -> Blocks:
    """The median of each block, process by process.

    None at all where samples do not fill their blocks, or cannot be divided: journals come from outside.
    """
    found: Blocks = []
    for process in processes:
        if sum(process.blocks) != len(process.step_s) or not usable(process.step_s):
            return []
        found.append(statistics.block_medians(process.step_s, process.blocks))
    return found if any(found) else []


def usable(seconds: Sequence[float]) -> bool:
    """Whether all can be divided, and are times of something: no machine does a thing in a picosecond."""
    return not seconds or (math.isfinite(sum(seconds)) and min(seconds) >= SHORTEST_S)


def main_score(record: Record) -> float | None:
    """The figure that the task's target names; None where there is none or its weights are random."""
    if record.about is None or record.about.weights == "seeded":
        return None
    return record.score.get(record.about.target.metric)
