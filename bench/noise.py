"""What goes on beside a measurement, and the noise floor of this machine that `weighbridge calibrate` measured."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from bench import environment
from bench.files import write_whole
from bench.record import DEFAULT_FLOOR, Noise

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


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """What A/A comparisons on this machine gave, and what the machine was then."""

    machine: str
    cpu: str
    cpus: int
    memory_bytes: int
    system: str
    measured: str
    """UTC, ISO 8601."""
    tier: str
    cells: list[str]
    pairs: int
    floor: float
    """How far 1 lay outside the intervals of the ratios of equal programs, all but one time in twenty."""
    false_verdicts: float
    """Share of pairs that were called FASTER or SLOWER, each judged by the floor that all others give."""
    cpus_elsewhere: float | None
    cpu_mhz: float | None
    ratios: list[tuple[float, float, float]] = []
    """Value, low and high of each pair."""


class Working(Protocol):
    """A process of the suite's own."""

    def cpu_s(self) -> float:
        """Processor seconds that it has used."""
        ...


class Sampler:
    """Reads the machine's and the workers' processor time at the start of the turns and at their end."""

    def __init__(self, workers: Sequence[Working]) -> None:
        self.workers = workers
        self.begin, self.busy, self.own = time.monotonic(), environment.busy_cpu_s(), self._own_cpu_s()

    def _own_cpu_s(self) -> float:
        return time.process_time() + sum(worker.cpu_s() for worker in self.workers)

    def is_crowded(self) -> bool:
        """Whether others were too busy for the block since the start to count."""
        elsewhere = self.cpus_elsewhere()
        return elsewhere is not None and elsewhere > CROWDING_CPUS + TICKS_S / (time.monotonic() - self.begin)

    def cpus_elsewhere(self) -> float | None:
        """Processors that others kept busy since the start, on average.

        None under a tenth of a second, or where a worker died and took the account of its time along.
        """
        elapsed = time.monotonic() - self.begin
        if elapsed < 0.1 or not all(worker.cpu_s() for worker in self.workers):
            return None
        busy, own = environment.busy_cpu_s() - self.busy, self._own_cpu_s() - self.own
        return round(max(0.0, (busy - own) / elapsed), 3)


def wait_for_quiet(at_most_s: float) -> float:
    """Waits until nobody else is busy, asked while all of our own processes are stopped; the seconds that it took."""
    begin = time.monotonic()
    crowded = True
    while crowded and time.monotonic() - begin < at_most_s:
        sampler = Sampler([])
        time.sleep(LOOK_S)
        crowded = sampler.is_crowded()
    return time.monotonic() - begin


def path(root: Path, tier: str) -> Path:
    """Where this machine's calibration for a tier lies: more processes leave less noise."""
    return root / "calibration" / f"{environment.machine_name()}.{tier}.json"


def save(root: Path, calibration: Calibration) -> Path:
    """Writes it whole or not at all."""
    found = path(root, calibration.tier)
    write_whole(found, msgspec.json.format(msgspec.json.encode(calibration)))
    return found


def load(root: Path, tier: str) -> Calibration | None:
    """This machine's calibration for a tier; None where there is none that can be read."""
    try:
        return msgspec.json.decode(path(root, tier).read_bytes(), type=Calibration)
    except (OSError, msgspec.DecodeError):
        return None


def identity() -> dict[str, str | int]:
    """What a calibration holds for: it is void where one of these changes."""
    described = environment.describe()
    names = ("machine", "cpu", "memory_bytes", "system")
    return {**{name: described[name] for name in names}, "cpus": len(described["cpus"])}


def noise(calibration: Calibration | None, cpus_elsewhere: Sequence[float | None]) -> Noise:
    """The floor that verdicts go by, and what a reader must be warned of."""
    measured = [value for value in cpus_elsewhere if value is not None]
    elsewhere = max(measured, default=None)
    floor, then = (calibration.floor, calibration.cpus_elsewhere or 0.0) if calibration else (DEFAULT_FLOOR, 0.0)
    found = warnings(calibration) if calibration else [NOT_CALIBRATED]
    if elsewhere is not None and elsewhere > then + BUSIER_CPUS:
        floor = max(floor, LOADED_FLOOR)
        found.append(
            f"other processes used {elsewhere:.2f} processors while timing, {then:.2f} when calibrated: "
            f"verdicts go by a floor of {floor:.1%}; for a finer one, type the same when the machine is free"
        )
    measured_at = calibration.measured if calibration else ""
    return Noise(floor=floor, calibrated=measured_at, cpus_elsewhere=elsewhere, warnings=found)


def warnings(calibration: Calibration) -> list[str]:
    """In what the machine differs from the one that was calibrated, a line each."""
    found = [
        f"{name} was {getattr(calibration, name)} at calibration and is {value} now; type: weighbridge calibrate"
        for name, value in identity().items()
        if getattr(calibration, name) != value
    ]
    mhz = environment.cpu_mhz()
    if mhz and calibration.cpu_mhz and mhz < SLOWER_CLOCK * calibration.cpu_mhz:
        found.append(f"processor at {mhz:.0f} MHz, {calibration.cpu_mhz:.0f} MHz at calibration")
    return found
