"""What goes on beside a measurement, and what `weighbridge calibrate` learned of this machine's noise.

Noise belongs to a kind of cell and not to a machine: the tabular model's equal pairs gave a floor of 2.9 %, MiniLM's
one of 16.5 %, on one machine and day (issue 13).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Protocol

import msgspec

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.record import DEFAULT_FLOOR, Noise
from weighbridge.bench.measure import environment

BUSIER_CPUS = 0.15
"""This many more processors at work for others than at calibration, and a run warns."""
LOADED_FLOOR = 0.10
"""The floor beside such a load, of which no calibration tells: from 80 equal pairs, docs/measuring.md."""
NOT_CALIBRATED = f"machine not calibrated, floor {DEFAULT_FLOOR:.1%} assumed; type: weighbridge calibrate"
SLOWER_CLOCK = 0.9
CROWDING_CPUS, TICKS_S = 0.25, 0.03
"""A block is crowded where others kept more than that many processors busy, besides what the kernel's ticks of 10 ms
leave uncertain on either side."""
LOOK_S = 0.2
"""How long to look whether others are busy."""
MOST_FALSE = 0.05
"""A calibration whose own equal pairs get more verdicts than this is not gone by."""
ALLOCATOR = "keep"
"""The host allocator that processes have where none was asked for."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What equal programs of one kind gave: cells of one content, on one backend."""

    cell: Cell
    measured: str = ""
    """UTC, ISO 8601."""
    pairs: int = 0
    floor: float | None = None
    """How far 1 lay outside the intervals of the ratios of equal programs, all but one time in twenty; None where only
    whole runs were compared."""
    false_verdicts: float | None = None
    """Share of pairs that were called FASTER or SLOWER, each judged by the floor that all others give."""
    between_runs: float | None = None
    """How far the steps of whole runs differed, all but one time in twenty; None where it was not measured."""
    runs: int = 0
    """How many whole runs that is of; 0 where it is of calibration's pairs, taken unpaired."""
    ratio_spread: float | None = None
    """How far the ratio to the reference differs between whole runs: standard deviation of its logarithm; None where
    that was not measured. A run's processes share what the machine is like then, which one run cannot see."""
    cpus_elsewhere: float | None = None
    ratios: list[tuple[float, float, float]] = []
    """Value, low and high of each pair."""

    @property
    def sound(self) -> bool:
        """Whether its floor holds back false verdicts as it should."""
        return self.false_verdicts is not None and self.false_verdicts <= MOST_FALSE

    @property
    def usable_floor(self) -> float:
        """The floor that verdicts go by: of one that is not sound, the furthest that a pair lay from 1."""
        furthest = [max(value, 1 / value) - 1 for value, _, _ in self.ratios]
        return max([self.floor or 0.0, *([] if self.sound else furthest)])


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What equal programs gave on this machine, kind by kind, and what the machine was then."""

    machine: str = ""
    cpu: str = ""
    cpus: int = 0
    memory_bytes: int = 0
    system: str = ""
    tier: str
    allocator: str = ALLOCATOR
    """The host allocator of all its processes."""
    cpu_mhz: float | None = None
    kinds: dict[str, Kind]
    """By the text of a cell, which leaves out its seed."""
    note: str = ""
    """Why it has no kinds, where its file could not be read."""


class Working(Protocol):
    """A process of the suite's own."""

    def cpu_s(self) -> float:
        """Processor seconds that it has used."""
        ...


class Sampler:
    """Reads the machine's and the workers' processor time at the start of the turns and at their end."""

    def __init__(self, workers: Sequence[Working]) -> None:
        self.workers = workers
        self.begin, self.busy = time.monotonic(), environment.busy_cpu_s()
        self.own = time.process_time() + sum(self._workers_s())

    def _workers_s(self) -> list[float]:
        """Processor seconds of each worker; to tell them, all processes of the machine are walked."""
        return [worker.cpu_s() for worker in self.workers]

    def is_crowded(self) -> bool:
        """Whether others were too busy for the block since the start to count."""
        elsewhere = self.cpus_elsewhere()
        return elsewhere is not None and elsewhere > CROWDING_CPUS + TICKS_S / (time.monotonic() - self.begin)

    def cpus_elsewhere(self) -> float | None:
        """Processors that others kept busy since the start, on average.

        None under a tenth of a second, or where a worker died and took the account of its time along.
        """
        elapsed = time.monotonic() - self.begin
        if elapsed < 0.1:
            return None
        busy, workers_s = environment.busy_cpu_s() - self.busy, self._workers_s()
        own = time.process_time() + sum(workers_s) - self.own
        return round(max(0.0, (busy - own) / elapsed), 3) if all(workers_s) else None


def wait_for_quiet(at_most_s: float) -> float:
    """Waits until nobody else is busy, asked while all of our own processes are stopped; the seconds that it took."""
    begin = time.monotonic()
    crowded = True
    while crowded and time.monotonic() - begin < at_most_s:
        sampler = Sampler([])
        time.sleep(LOOK_S)
        crowded = sampler.is_crowded()
    return time.monotonic() - begin


def identity() -> dict[str, str | int]:
    """Return what a calibration holds for: it is void where one of these changes."""
    described = environment.describe()
    names = ("machine", "cpu", "memory_bytes", "system")
    return {**{name: described[name] for name in names}, "cpus": len(described["cpus"])}


def noise(calibration: Calibration | None, cell: Cell, cpus_elsewhere: Sequence[float | None]) -> Noise:
    """The floor that a cell's verdicts go by, and what a reader must be warned of."""
    measured = [value for value in cpus_elsewhere if value is not None]
    elsewhere = max(measured, default=None)
    kind = standing_in(calibration, cell)
    floor, then = (kind.usable_floor, kind.cpus_elsewhere or 0.0) if kind else (DEFAULT_FLOOR, 0.0)
    before = f", {then:.1f} when calibrated" if kind and kind.cpus_elsewhere is not None else ""
    found = [*(warnings(calibration) if calibration else []), *doubts(kind, cell)]
    if elsewhere is not None and elsewhere > then + BUSIER_CPUS:
        floor = max(floor, LOADED_FLOOR)
        found.append(
            f"other processes used {elsewhere:.1f} processors while timing{before}: "
            f"verdicts go by a floor of {floor:.1%}; for a finer one, type the same when the machine is free"
        )
    own = calibration.kinds.get(str(cell)) if calibration else None
    return Noise(
        floor=floor,
        calibrated=kind.measured if kind else "",
        cpus_elsewhere=elsewhere,
        between_runs=own.between_runs if own else None,
        ratio_spread=own.ratio_spread if own else None,
        warnings=found,
    )


def standing_in(calibration: Calibration | None, cell: Cell) -> Kind | None:
    """Whose floor a cell goes by: its own kind's, else the largest of its content's, else of its device's."""
    kinds = [kind for kind in calibration.kinds.values() if kind.floor is not None] if calibration else []
    own = [kind for kind in kinds if str(kind.cell) == str(cell)]
    alike = [kind for kind in kinds if _alike(kind.cell, cell)]
    beside = [kind for kind in kinds if kind.cell.device == cell.device]
    return max(own or alike or beside, key=lambda kind: kind.usable_floor, default=None)


def _alike(one: Cell, other: Cell) -> bool:
    return str(msgspec.structs.replace(one, backend=other.backend)) == str(other)


def doubts(kind: Kind | None, cell: Cell) -> list[str]:
    """Why the floor that a cell goes by may not be its own, a line each."""
    if kind is None:
        return [NOT_CALIBRATED]
    found: list[str] = []
    if not kind.sound:
        found.append(
            f"{kind.cell}: {kind.false_verdicts or 0:.0%} of its equal pairs had a verdict at calibration, so that "
            f"verdicts go by {kind.usable_floor:.1%}, the furthest from 1; type: weighbridge calibrate --pairs 40"
        )
    if str(kind.cell) != str(cell):
        lacking = cell.backend if _alike(kind.cell, cell) else str(cell)
        found.append(
            f"{lacking} was not calibrated, and goes by the floor of {kind.cell}, {kind.usable_floor:.1%}; "
            f"type: weighbridge calibrate --tasks {cell.task} --backends {cell.backend}"
        )
    return found


def warnings(calibration: Calibration) -> list[str]:
    """Return in what the machine differs from the calibrated one, or why nothing is known of it, a line each."""
    if calibration.note:
        return [calibration.note]
    found = [
        f"{name} was {getattr(calibration, name)} at calibration and is {value} now; type: weighbridge calibrate"
        for name, value in identity().items()
        if getattr(calibration, name) != value
    ]
    mhz = environment.cpu_mhz()
    if mhz and calibration.cpu_mhz and mhz < SLOWER_CLOCK * calibration.cpu_mhz:
        found.append(f"processor at {mhz:.0f} MHz, {calibration.cpu_mhz:.0f} MHz at calibration")
    return found
