"""A/A comparisons: the reference against itself, which must come out equal. What does not is this machine's noise.

An interval tells of the noise between the blocks and processes that it was drawn from. What it cannot tell of is the
rest: how far 1 lies outside the intervals of equal programs. The floor is the conformal 95 % quantile of that
distance, which the next pair exceeds one time in twenty (MEASURING.md, rule 7). How often a pair would still be
called FASTER or SLOWER is told with it, each pair judged by the floor that the others give, so that no pair vouches
for itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import numpy as np

from bench import application, data, environment, noise, stats
from bench.application import Planned
from bench.core import Cell, WeighbridgeError
from bench.group import NOTHING_MORE, Entrant, Group, Watcher
from bench.noise import Calibration
from bench.process import WorkerFailed
from bench.run import Run
from bench.stats import Interval, Verdict
from bench.tier import Tier

LOWEST_FLOOR = 0.005
"""No machine is called quieter than this: twenty pairs cannot show that it is."""
QUANTILE = 0.95


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """One program against another, or itself: the ratio of the first's time to the second's."""

    cell: Cell
    ratio: Interval
    turns: int
    floor: float
    """The machine's, as a record would hold it."""
    cpus_elsewhere: float | None

    def verdict(self, floor: float) -> Verdict:
        """As a report would give it."""
        return stats.verdict(self.ratio, floor, self.turns)


def distance(ratio: Interval) -> float:
    """How far 1 lies outside an interval, relative; 0 inside."""
    return max(0.0, ratio.low - 1, 1 / ratio.high - 1)


def floor_of(ratios: Sequence[Interval]) -> float:
    """The ceil(0.95 (n + 1))-th smallest distance, at least `LOWEST_FLOOR`.

    Whatever their distribution, the next of n + 1 exchangeable pairs lies above it with 5 % at most (Vovk, Gammerman &
    Shafer 2005); of fewer than nineteen the largest is taken, and 1 / (n + 1) lie above that.
    """
    distances = sorted(distance(ratio) for ratio in ratios)
    rank = min(len(distances), math.ceil(QUANTILE * (len(distances) + 1)))
    return max([LOWEST_FLOOR, *distances[:rank]])


def false_verdicts(pairs: Sequence[Pair]) -> float:
    """Share of equal pairs called FASTER or SLOWER, each by the floor of all others."""
    ratios = [pair.ratio for pair in pairs]
    floors = [floor_of(ratios[:index] + ratios[index + 1 :]) for index in range(len(ratios))]
    wrong = [pair.verdict(floor) in ("FASTER", "SLOWER") for pair, floor in zip(pairs, floors, strict=True)]
    return sum(wrong) / len(wrong)


def compare_programs(
    planned: Planned,
    count: int,
    tier: Tier,
    watcher: Watcher,
    *,
    changed: Mapping[str, str] = NOTHING_MORE,
    tell: Callable[[Pair], None] = lambda pair: None,
    time_limit_s: float = 600.0,
) -> list[Pair]:
    """`count` pairs over the plan's cells in turn; `changed` is the second one's additional environment."""
    cells = [cell for cell in planned.cells if cell.backend == planned.reference]
    if not cells:
        raise WeighbridgeError(f"no cell of the reference {planned.reference!r} in this request; leave out a filter")
    job = application.job(planned, time_limit_s, tier)
    pairs: list[Pair] = []
    with TemporaryDirectory(prefix="weighbridge-") as folder:
        run = Run(job, Path(folder) / "records.jsonl", watcher)
        made = run.prepare(cells)
        for cell in islice(cycle(cells), count):
            artefacts = made[cell.group]
            if isinstance(artefacts, WorkerFailed):
                raise WeighbridgeError(f"{cell}: {artefacts.reason}")
            group = Group(job, [cell], artefacts, watcher, run.logs)
            pair = _pair(group.compete([Entrant(cell, job, watcher), Entrant(cell, job, watcher, changed)]))
            pairs.append(pair)
            tell(pair)
    return pairs


def _pair(entrants: Sequence[Entrant]) -> Pair:
    for entrant in entrants:
        if entrant.failed():
            raise WeighbridgeError(f"{entrant.cell}: {entrant.status}, {entrant.reason}")
    first, second = (entrant.weighing.block_medians() for entrant in entrants)
    ratios = stats.paired_ratios(first, second)
    found = entrants[0].weighing.fields["noise"]
    return Pair(
        cell=entrants[0].cell,
        ratio=stats.interval(ratios),
        turns=sum(map(len, ratios)),
        floor=found.floor,
        cpus_elsewhere=found.cpus_elsewhere,
    )


def calibrate(pairs: Sequence[Pair], tier: Tier) -> Calibration:
    """What A/A pairs say of this machine; saved where `run` finds it."""
    elsewhere = [pair.cpus_elsewhere for pair in pairs if pair.cpus_elsewhere is not None]
    ratios = [pair.ratio for pair in pairs]
    found = Calibration(
        **noise.identity(),  # type: ignore[arg-type]
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
        tier=tier.name,
        cells=sorted({str(pair.cell) for pair in pairs}),
        pairs=len(pairs),
        floor=floor_of(ratios),
        false_verdicts=false_verdicts(pairs),
        cpus_elsewhere=float(np.median(elsewhere)) if elsewhere else None,
        cpu_mhz=environment.cpu_mhz(),
        ratios=[(ratio.value, ratio.low, ratio.high) for ratio in ratios],
    )
    noise.save(data.cache_folder(), found)
    return found
