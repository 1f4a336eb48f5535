"""Joules a step, where the hardware counts them. None is "n/a", never 0.

On a CPU: RAPL, the processor's own account of its packages and their memory (Linux, /sys/class/powercap; Intel SDM,
volume 3B, chapter 16.10; also on AMD). It counts the whole package, so whatever else runs is counted, too. On an NVIDIA
device: NVML's `nvmlDeviceGetTotalEnergyConsumption`, of the whole device. Both count what idles.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from weighbridge.bench.core.cell import Device

POWERCAP = Path("/sys/class/powercap")
COUNTED = ("package-", "dram")
"""Zones that add up to a host: `core` and `uncore` lie within a package, `psys` holds all of them."""
AT_LEAST_S = 1.0
"""NVML's counter moves some ten times a second: a shorter block would be off by a tenth and more."""


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    """A count of energy that only grows, but for a wrap."""

    name: str
    read: Callable[[], int | None]
    joules: float
    """Of one unit."""
    wraps_after: int | None = None
    """The largest value; None where it never wraps."""


def rapl(root: Path = POWERCAP) -> list[Counter]:
    """A counter a package, and a counter its memory where that has one; none at all where one cannot be read."""
    zones = sorted(root.glob("intel-rapl:*"))
    found = [_zone(zone, name) for zone in zones if (name := _text(zone / "name")) and name.startswith(COUNTED)]
    able = all(counter.read() is not None for counter in found)
    return found if able and any(counter.name.startswith(COUNTED[0]) for counter in found) else []


def _zone(zone: Path, name: str) -> Counter:
    largest = _number(zone / "max_energy_range_uj")
    return Counter(name=name, read=lambda: _number(zone / "energy_uj"), joules=1e-6, wraps_after=largest)


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:  # since 2020 the kernel shows the counters to root only
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None


def nvml(library: Any = None) -> list[Counter]:
    """The counter of the device that this process computes on; none where that cannot be told, or it has none."""
    if library is None:
        import pynvml as library
    try:
        library.nvmlInit()
        handles = [library.nvmlDeviceGetHandleByIndex(index) for index in range(library.nvmlDeviceGetCount())]
        ours = handles if len(handles) == 1 else [handle for handle in handles if _computes(library, handle)]
        if len(ours) != 1:
            return []
        library.nvmlDeviceGetTotalEnergyConsumption(ours[0])
        name = str(library.nvmlDeviceGetName(ours[0]))
    except library.NVMLError:
        return []
    return [Counter(name=name, read=lambda: _millijoules(library, ours[0]), joules=1e-3)]


def _computes(library: Any, handle: Any) -> bool:
    return any(each.pid == os.getpid() for each in library.nvmlDeviceGetComputeRunningProcesses(handle))


def _millijoules(library: Any, handle: Any) -> int | None:
    try:
        return int(library.nvmlDeviceGetTotalEnergyConsumption(handle))
    except library.NVMLError:
        return None


SOURCES: dict[Device, Callable[[], list[Counter]]] = {"cpu": rapl, "cuda": nvml}


def counters(device: Device) -> list[Counter]:
    """Find what counts the energy of a device; empty where nothing does."""
    return SOURCES[device]() if device in SOURCES else []


def spent_j(counters: Sequence[Counter], before: Sequence[int | None], after: Sequence[int | None]) -> float | None:
    """Joules between two readings less than one wrap apart; None where one is missing, or nothing was counted."""
    total = 0.0
    for counter, first, last in zip(counters, before, after, strict=True):
        if first is None or last is None:
            return None
        units = last - first
        if units < 0:
            if counter.wraps_after is None:
                return None
            units += counter.wraps_after
        total += units * counter.joules
    return total if total > 0 else None


def per_step(
    counters: Sequence[Counter],
    block: Callable[[], int],
    at_least_s: float = AT_LEAST_S,
    clock: Callable[[], float] = time.perf_counter,
) -> float | None:
    """Joules a step, over as many blocks as it takes; `block` does its steps, waits for them, and tells how many."""
    steps = 0
    before, end = [counter.read() for counter in counters], clock() + at_least_s
    while not steps or clock() < end:
        steps += block()
    joules = spent_j(counters, before, [counter.read() for counter in counters])
    return None if joules is None else joules / steps
