"""A/A comparisons: a program against itself, which must come out equal. What does not is this machine's noise.

An interval tells of the noise between the blocks and processes that it was drawn from. What it cannot tell of is the
rest: how far 1 lies outside the intervals of equal programs. The floor of a kind of cell is the conformal 95 % quantile
of that distance, which the next pair exceeds one time in twenty (measuring rule 7). How often a pair would still be
called FASTER or SLOWER is told with it, each pair judged by the floor that the others give, so that no pair vouches
for itself. Taken unpaired, the same processes tell how far whole runs differ, which is what the gate goes by.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import combinations, cycle, islice, product
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.effort import Effort
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import Noise
from weighbridge.bench.measure import noise, sides, statistics
from weighbridge.bench.measure.noise import Kind
from weighbridge.bench.measure.sides import Side
from weighbridge.bench.measure.statistics import Interval, Verdict
from weighbridge.bench.run import jobs
from weighbridge.bench.run.group import Group
from weighbridge.bench.run.jobs import NOTHING_MORE, Planned
from weighbridge.bench.run.member import Member
from weighbridge.bench.run.process import WorkerFailed
from weighbridge.bench.run.runner import Run
from weighbridge.bench.run.watcher import Watcher
from weighbridge.bench.storage import calibration, packages

LOWEST_FLOOR = 0.005
"""No machine is called quieter than this: twenty pairs cannot show that it is."""
QUANTILE = 0.95
FEWEST_RUNS = 5
"""Of fewer runs the largest difference says too little."""


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One program against another, or itself: the ratio of the first's time to the second's."""

    cell: Cell
    ratio: Interval
    ratios: list[list[float]]
    """Of the turns in which neither had a busy neighbour, process by process."""
    steps: tuple[float, float]
    """Seconds a step of each, as a run of its own would give them."""
    floor: float
    """As a record would hold it."""
    cpus_elsewhere: float | None
    minor_faults: tuple[float, float] = (math.nan, math.nan)
    """Page faults a step of each, the median of its blocks; NaN where they were not counted."""

    @property
    def sure(self) -> bool:
        """Whether there were processes and quiet turns enough for a verdict."""
        return statistics.enough(self.ratios)

    def verdict(self, floor: float) -> Verdict:
        """Return the verdict that a report would give."""
        return statistics.verdict(self.ratio, floor, self.sure)


def distance(ratio: Interval) -> float:
    """Return how far 1 lies outside an interval, relative; 0 inside."""
    return max(0.0, ratio.low - 1, 1 / ratio.high - 1)


def floor_of(ratios: Sequence[Interval]) -> float:
    """The ceil(0.95 (n + 1))-th smallest distance, at least `LOWEST_FLOOR`.

    Whatever their distribution, the next of n + 1 exchangeable pairs lies above it with 5 % at most (Vovk, Gammerman &
    Shafer 2005); of fewer than nineteen the largest is taken, and 1 / (n + 1) lie above that.
    """
    return max(LOWEST_FLOOR, conformal([distance(ratio) for ratio in ratios]))


def conformal(distances: Sequence[float]) -> float:
    """The ceil(0.95 (n + 1))-th smallest; the largest of fewer than nineteen, and 0 of none."""
    rank = math.ceil(QUANTILE * (len(distances) + 1))
    return max(sorted(distances)[:rank], default=0.0)


def between_runs(runs: Sequence[Sequence[float]]) -> float | None:
    """Return how far steps of identical code differ, relative, but one time in twenty; None of fewer than five runs.

    Steps that were taken together, which are correlated, are not held against each other.
    """
    if len(runs) < FEWEST_RUNS:
        return None
    moves = [abs(math.log(a / b)) for one, other in combinations(runs, 2) for a, b in product(one, other)]
    return math.expm1(conformal(moves))


def false_verdicts(pairs: Sequence[Pair]) -> float:
    """Share of equal pairs called FASTER or SLOWER, each by the floor of all others."""
    ratios = [pair.ratio for pair in pairs]
    floors = [floor_of(ratios[:index] + ratios[index + 1 :]) for index in range(len(ratios))]
    wrong = [pair.verdict(floor) in ("FASTER", "SLOWER") for pair, floor in zip(pairs, floors, strict=True)]
    return sum(wrong) / len(wrong)


def compare_programs(
    planned: Planned,
    count: int,
    effort: Effort,
    watcher: Watcher,
    *,
    changed: Mapping[str, str] = NOTHING_MORE,
    allocator: str = "",
    tell: Callable[[Pair], None] = lambda pair: None,
    time_limit_s: float = 600.0,
) -> list[Pair]:
    """`count` pairs over the plan's cells in turn; `changed` is the second one's additional environment.

    `allocator` is the host allocator of both, where it is not the usual one.
    """
    if not planned.cells:
        raise WeighbridgeError("no cell fits this request; leave out a filter")
    job = jobs.job(planned, time_limit_s, effort)
    job = msgspec.structs.replace(job, allocator=allocator) if allocator else job
    pairs: list[Pair] = []
    with TemporaryDirectory(prefix="weighbridge-") as folder:
        run = Run(job, Path(folder) / "records.jsonl", watcher)
        made = run.prepare(planned.cells)
        for cell in islice(cycle(planned.cells), count):
            prepared = made[cell.group]
            if isinstance(prepared, WorkerFailed):
                raise WeighbridgeError(f"{cell}: {prepared.reason}")
            group = Group(job, [cell], prepared, watcher, run.logs)
            found = pair(group.compete([group.member(cell), group.member(cell, changed)]))
            pairs.append(found)
            tell(found)
    return pairs


def of_the_reference(planned: Planned) -> Planned:
    """Its cells alone."""
    cells = [cell for cell in planned.cells if cell.backend == planned.reference]
    if not cells:
        raise WeighbridgeError(f"no cell of the reference {planned.reference!r} in this request; leave out a filter")
    return Planned(cells=cells, reference=planned.reference)


def pair(members: Sequence[Member]) -> Pair:
    """Return what two members that took turns gave."""
    for member in members:
        if member.failed():
            raise WeighbridgeError(f"{member.cell}: {member.status}, {member.reason}")
    first, second = (sides.side(member.record()) for member in members)
    found = first.record.noise or Noise()
    return Pair(
        cell=first.record.cell,
        ratio=sides.turns(second.steps, first.steps)[0],
        ratios=statistics.paired_ratios(first.steps.quiet, second.steps.quiet),
        steps=(_step_s(first), _step_s(second)),
        floor=found.floor,
        cpus_elsewhere=found.cpus_elsewhere,
        minor_faults=(_faults(first), _faults(second)),
    )


def _step_s(side: Side) -> float:
    return statistics.interval(side.steps.every).value


def _faults(side: Side) -> float:
    return statistics.median([faults for process in side.record.minor_faults for faults in process])


def kind(cell: Cell, pairs: Sequence[Pair]) -> Kind:
    """Return what a cell's own A/A pairs say; those without a verdict say nothing of verdicts, unless all are such."""
    sure = [each for each in pairs if each.sure] or pairs
    elsewhere = [each.cpus_elsewhere for each in pairs if each.cpus_elsewhere is not None]
    return Kind(
        cell=msgspec.structs.replace(cell, seed=0),
        measured=now(),
        pairs=len(sure),
        floor=floor_of([each.ratio for each in sure]),
        false_verdicts=false_verdicts(sure),
        between_runs=between_runs([each.steps for each in sure]),
        cpus_elsewhere=float(np.median(elsewhere)) if elsewhere else None,
        ratios=[(each.ratio.value, each.ratio.low, each.ratio.high) for each in sure],
    )


def now() -> str:
    """UTC, ISO 8601."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def calibrate(pairs: Sequence[Pair], effort: Effort, allocator: str = noise.ALLOCATOR) -> list[Kind]:
    """Save what A/A pairs say of each kind where `run` finds it; what `repeat` measured of whole runs stays."""
    root = packages.cache_folder()
    old = calibration.so_far(root, effort.name, allocator).kinds
    cells = dict.fromkeys(each.cell for each in pairs)
    found = [kind(cell, [each for each in pairs if each.cell == cell]) for cell in cells]
    found = [_with_runs(each, old.get(str(each.cell))) for each in found]
    calibration.keep(root, found, effort.name, allocator)
    return found


def _with_runs(new: Kind, old: Kind | None) -> Kind:
    whole = old is not None and old.runs > 0
    if not (old and whole):
        return new
    return msgspec.structs.replace(new, between_runs=old.between_runs, runs=old.runs, ratio_spread=old.ratio_spread)


NO_RATIOS: Mapping[Cell, Sequence[float]] = {}


def spread_of(ratios: Sequence[float]) -> float | None:
    """The standard deviation of ratios' logarithms; None of fewer than five runs."""
    return float(np.std(np.log(ratios), ddof=1)) if len(ratios) >= FEWEST_RUNS else None


def keep_runs(
    steps: Mapping[Cell, Sequence[float]],
    tier: str,
    allocator: str = noise.ALLOCATOR,
    ratios: Mapping[Cell, Sequence[float]] = NO_RATIOS,
) -> dict[Cell, float | None]:
    """Saves how far whole runs differ, cell by cell, where `run` finds it; what A/A pairs said stays.

    `steps` are seconds, `ratios` those to the reference, one a run.
    """
    root = packages.cache_folder()
    old = calibration.so_far(root, tier, allocator).kinds
    found = {cell: between_runs([[step_s] for step_s in each]) for cell, each in steps.items()}
    kinds = [
        msgspec.structs.replace(
            old.get(str(cell), Kind(cell=msgspec.structs.replace(cell, seed=0), measured=now())),
            between_runs=spread,
            runs=len(steps[cell]),
            ratio_spread=spread_of(ratios.get(cell, ())),
        )
        for cell, spread in found.items()
        if spread is not None
    ]
    calibration.keep(root, kinds, tier, allocator)
    return found
