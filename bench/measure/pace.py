"""Whether somebody outside of this virtual machine slows its processors, which nothing inside of it tells.

Two guests may share a core by its two threads: the host counts that for nobody, and no tick is stolen. A fixed piece of
work then takes 1.3 to 1.7 times as long, for seconds or minutes, and frameworks are not slowed alike:
docs/design/011-neighbours-outside.md. So before and after each block the piece is timed, on each processor, and held
against the shortest of the group.

Only inside of a virtual machine: elsewhere the kernel sees who is busy, and a processor that changes its clock by
itself would be taken for one that is shared.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence

from weighbridge.bench.measure import environment

PIECE, TRIES = 2000, 3
"""Additions in a piece, some 70 µs of an EPYC; the shortest of so many tries counts."""
MOST_CPUS = 4
"""So many processors are looked at, evenly spread: 0.25 ms each, twice a block."""
SHARED = 1.25
"""A block is slowed where the piece took so many times as long as at its shortest, on average of the processors before
and after it: an eighth of the blocks of undisturbed processes, three fifths of disturbed ones'."""
MOST_BY_CHANCE = 0.2
"""Of blocks; a run with more of them says so. Six committed runs beside nobody have 1 to 12 %, of the twenty of
`semantic-search-shared-quick`, beside another guest, seventeen have more than 20 %."""
Timed = Callable[[int], float]


def piece_s(cpu: int) -> float:
    """Seconds of the piece on one processor, the shortest of its tries."""
    os.sched_setaffinity(0, {cpu})
    return min(_once() for _ in range(TRIES))


def _once() -> float:
    begin, total = time.perf_counter(), 0
    for number in range(PIECE):
        total += number * number
    return time.perf_counter() - begin


class Pace:
    """The pieces of work of a group of cells; its unit is the shortest on each processor."""

    def __init__(self, cpus: Sequence[int], timed: Timed = piece_s) -> None:
        self.cpus, self.timed = cpus, timed
        self.shortest_s = {cpu: float("inf") for cpu in cpus}

    def read(self) -> list[float]:
        """Seconds of a piece on each processor now; a process is moved for it, and moved back."""
        if not self.cpus:
            return []
        before = os.sched_getaffinity(0)
        try:
            found = [self.timed(cpu) for cpu in self.cpus]
        finally:
            os.sched_setaffinity(0, before)
        self.shortest_s = {cpu: min(self.shortest_s[cpu], each) for cpu, each in zip(self.cpus, found, strict=True)}
        return found

    def slowdown(self, *readings: Sequence[float]) -> float | None:
        """Return how many times as long as at its shortest the piece took; None where nobody looks."""
        ratios = [each / self.shortest_s[cpu] for found in readings for cpu, each in zip(self.cpus, found, strict=True)]
        return round(sum(ratios) / len(ratios), 3) if ratios else None


def of_this_machine() -> Pace:
    """Of the processors that this process may use; one that looks at none where there is nobody outside."""
    cpus = environment.usable_cpus() if environment.is_guest() else []
    return Pace(cpus[:: max(1, -(-len(cpus) // MOST_CPUS))])
