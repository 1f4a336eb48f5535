"""From names to what a run needs: cells, backends, tasks, data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from bench.core.backend import Backend, Reference
from bench.core.cell import Cell, Device
from bench.core.effort import QUICK, Tier
from bench.core.errors import WeighbridgeError
from bench.core.record import Peaks
from bench.core.task import Task
from bench.measure import allocator, environment
from bench.measure.allocator import Allocator
from bench.measure.noise import Calibration
from bench.run import registry
from bench.run.plan import Filters, Suite, plan
from bench.run.process import thread_variables
from bench.storage import calibration, known_peaks, packages


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """The cells of a request and the backend they are proven against."""

    cells: list[Cell]
    reference: str


def prepare(suite_name: str, filters: Filters) -> Planned:
    """The plan of a request; raises WeighbridgeError where it names what is not there or a device that is not."""
    suite = msgspec.convert(registry.suite(suite_name), Suite)
    cells = plan(suite, filters, registry.task, registry.backend)
    if not cells:
        raise WeighbridgeError("no cell fits this request; `weighbridge list` shows what each task can do")
    devices: set[Device] = {cell.device for cell in cells}
    for device in devices:
        if not environment.has_device(device):
            raise WeighbridgeError(f"this machine shows no {device} device; choose --device cpu")
    return Planned(cells=cells, reference=suite.reference)


def job(planned: Planned, time_limit_s: float, tier: Tier = QUICK, allocator: Allocator = "keep") -> Job:
    """The nouns that a run needs, looked up by name."""
    backends: dict[str, Backend] = {name: registry.backend(name) for name in {c.backend for c in planned.cells}}
    reference: Reference = registry.reference(planned.reference)
    tasks = {name: registry.task(name) for name in {cell.task for cell in planned.cells}}
    devices: set[Device] = {cell.device for cell in planned.cells}
    return Job(
        reference=planned.reference,
        tier=tier,
        allocator=allocator,
        visible=[each for each in registry.backends().values() if not each.hidden],
        time_limit_s=time_limit_s,
        root=packages.cache_folder() / "artefacts",
        backends={**backends, planned.reference: reference},
        tasks=tasks,
        files=_files_of(tasks),
        free_bytes=environment.free_bytes,
        calibration=calibration.load(packages.cache_folder(), tier.name, allocator),
        peaks={device: found for device in devices if (found := known_peaks.load(packages.cache_folder(), device))},
    )


def _files_of(tasks: Mapping[str, Task]) -> Any:
    """Task name -> verified folders; hashed once a run, and a failure is remembered too."""

    @cache
    def found(task: str) -> dict[str, Path] | str:
        try:
            return dict(packages.files(tasks[task].packages))
        except WeighbridgeError as error:
            return str(error)

    def files(task: str) -> dict[str, Path]:
        result = found(task)
        if isinstance(result, str):
            raise WeighbridgeError(result)
        return result

    return files


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a run needs beside its cells."""

    reference: str
    tier: Tier
    allocator: Allocator = "keep"
    """Of every worker's host memory."""
    visible: Sequence[Any] = ()
    """The backends that a listing shows, whether they are asked for or not."""
    time_limit_s: float
    root: Path
    """The cache that holds artefacts and compiled programs."""
    backends: Mapping[str, Any]
    """Name -> Backend, the reference's among them."""
    tasks: Mapping[str, Any]
    """Name -> Task."""
    files: Callable[[str], dict[str, Path]]
    """Task name -> its verified data folders. Raises WeighbridgeError where a package cannot be had."""
    free_bytes: Callable[[], int]
    """Host memory that can be had now."""
    host_limit_bytes: int | None = None
    """What one worker may take of the host's memory; None where it is not bounded. Those that are open together are
    bounded by their share of what is free, too."""
    calibration: Calibration | None = None
    peaks: Mapping[Device, Peaks] = {}

    def backend(self, cell: Cell) -> Backend:
        """Of a cell."""
        return self.backends[cell.backend]

    def task(self, cell: Cell) -> Task:
        """Of a cell."""
        return self.tasks[cell.task]

    def variables(self) -> dict[str, str]:
        """The environment that all workers share: as many threads, and the same allocator."""
        return {**thread_variables(), **allocator.variables(self.allocator)}


NOTHING_MORE: Mapping[str, str] = {}
