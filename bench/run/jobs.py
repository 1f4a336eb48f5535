"""From names to what a run needs: cells, backends, tasks, data."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec

from weighbridge.bench.core.card import BackendCard, TaskCard
from weighbridge.bench.core.cell import Cell, Device
from weighbridge.bench.core.effort import QUICK, Effort
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import Peaks
from weighbridge.bench.measure import allocator, environment
from weighbridge.bench.measure.allocator import Allocator
from weighbridge.bench.measure.noise import Calibration
from weighbridge.bench.run import cards, registry
from weighbridge.bench.run.plan import Filters, Suite, plan
from weighbridge.bench.run.process import thread_variables
from weighbridge.bench.run.protocol import Open
from weighbridge.bench.run.registry import BACKENDS, TASKS
from weighbridge.bench.storage import calibration, known_peaks, packages
from weighbridge.bench.storage.prepared import GIVEN, Prepared, file_hash

HUB_FILE = "model.safetensors"
PATIENCE = "WEIGHBRIDGE_PATIENCE_S"
"""Seconds that a process may wait for a busy neighbour, in place of the effort's: 0 where neighbours never leave."""


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """The cells of a request and the backend they are proven against."""

    cells: list[Cell]
    reference: str
    asked: list[str] = []
    """The backends that were asked for by name."""
    beside: str = ""
    """The backend that ratios are to, where that is not the one that all are proven against."""
    given: Path | None = None
    """A safetensors file whose weights stand in for those of the plan's only model."""

    @property
    def ratios_to(self) -> str:
        """Return the backend that ratios are to."""
        return self.beside or self.reference


def prepare(suite_name: str, filters: Filters) -> Planned:
    """The plan of a request; raises WeighbridgeError where it names what is not there or a device that is not."""
    suite = suite_of(suite_name)
    filters = msgspec.structs.replace(
        filters, tasks=cards.named(filters.tasks, TASKS), backends=cards.named(filters.backends, BACKENDS)
    )
    cells = plan(suite, filters, cards.task, cards.backend, cards.options)
    if not cells:
        raise WeighbridgeError("no cell fits this request; `weighbridge list` shows what each task can do")
    devices: set[Device] = {cell.device for cell in cells}
    for device in devices:
        if not environment.has_device(device):
            raise WeighbridgeError(f"this machine shows no {device} device; choose --device cpu")
    return Planned(cells=cells, reference=suite.reference, asked=list(filters.backends))


def compared(planned: Planned, beside: str) -> Planned:
    """The plan with ratios to the backend `beside`, which must be weighed; empty leaves them as they are."""
    weighed = {cell.backend for cell in planned.cells}
    if beside and beside not in weighed:
        cards.backend(beside)
        raise WeighbridgeError(f"--reference {beside} is not weighed: add it to --backends")
    return msgspec.structs.replace(planned, beside=beside)


def weighing(planned: Planned, weights: str) -> Planned:
    """The plan with the weights of a safetensors file, or of the folder that a hub gives; empty leaves it as it is."""
    if not weights:
        return planned
    path = Path(weights) / HUB_FILE if Path(weights).is_dir() else Path(weights)
    if path.suffix != ".safetensors" or not path.is_file():
        raise WeighbridgeError(f"--weights {weights}: no safetensors file; name one, or a folder with a {HUB_FILE}")
    models = sorted({f"{cell.task}[{cell.preset}]" for cell in planned.cells})
    if len(models) > 1:
        several = f"{len(models)} models ({', '.join(models)})"
        raise WeighbridgeError(
            f"--weights are one model's, and this weighs {several}: name one of --tasks, or a --preset"
        )
    known = file_hash(path.resolve())[:12]
    cells = [msgspec.structs.replace(cell, weights=known) for cell in planned.cells]
    return msgspec.structs.replace(planned, cells=cells, given=path.resolve())


def suite_of(name: str) -> Suite:
    """The suite called `name`; raises WeighbridgeError where its file says what a suite cannot."""
    try:
        return msgspec.convert(registry.suite(name), Suite)
    except msgspec.ValidationError as error:
        raise WeighbridgeError(f"suite {name!r} cannot be used: {error}; mend its file") from error


def patient(effort: Effort) -> Effort:
    """The effort, as patient as the environment says. Raises WeighbridgeError where that is no number of seconds."""
    told = os.environ.get(PATIENCE)
    if told is None:
        return effort
    try:
        seconds = float(told)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < math.inf:
        raise WeighbridgeError(f"{PATIENCE} is {told!r}; give seconds, such as 0")
    return msgspec.structs.replace(effort, patience_s=seconds)


def job(planned: Planned, time_limit_s: float, effort: Effort = QUICK, allocator: Allocator = "keep") -> Job:
    """The nouns that a run needs, looked up by name."""
    backends = {name: cards.backend(name) for name in {cell.backend for cell in planned.cells}}
    reference = cards.reference(planned.reference)
    tasks = {name: cards.task(name) for name in {cell.task for cell in planned.cells}}
    devices: set[Device] = {cell.device for cell in planned.cells}
    return Job(
        reference=planned.reference,
        effort=patient(effort),
        allocator=allocator,
        visible=[each for each in cards.backends().values() if not each.hidden],
        time_limit_s=time_limit_s,
        root=packages.cache_folder() / "artefacts",
        backends={**backends, planned.reference: reference},
        tasks=tasks,
        files=_files_of(tasks, {GIVEN: planned.given} if planned.given else {}),
        free_bytes=environment.free_bytes,
        calibration=calibration.load(packages.cache_folder(), effort.name, allocator),
        peaks={device: found for device in devices if (found := known_peaks.load(packages.cache_folder(), device))},
    )


def _files_of(tasks: Mapping[str, TaskCard], more: dict[str, Path]) -> Callable[[str], dict[str, Path]]:
    """Task name -> verified folders, and what is given besides; hashed once a run, a failure is remembered too."""

    @cache
    def found(task: str) -> dict[str, Path] | str:
        try:
            return {**packages.files(tasks[task].packages), **more}
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
    effort: Effort
    allocator: Allocator = "keep"
    """Of every worker's host memory."""
    visible: Sequence[BackendCard] = ()
    """The backends that a listing shows, whether they are asked for or not."""
    time_limit_s: float
    root: Path
    """The cache that holds prepared files and compiled programs."""
    backends: Mapping[str, BackendCard]
    """By name, the reference's among them."""
    tasks: Mapping[str, TaskCard]
    """By name."""
    files: Callable[[str], dict[str, Path]]
    """Task name -> its verified data folders. Raises WeighbridgeError where a package cannot be had."""
    free_bytes: Callable[[], int]
    """Host memory that can be had now."""
    host_limit_bytes: int | None = None
    """What one worker may take of the host's memory; None where it is not bounded. Those that are open together are
    bounded by their share of what is free, too."""
    calibration: Calibration | None = None
    peaks: Mapping[Device, Peaks] = {}

    def backend(self, cell: Cell) -> BackendCard:
        """Return a cell's backend."""
        return self.backends[cell.backend]

    def task(self, cell: Cell) -> TaskCard:
        """Return a cell's task."""
        return self.tasks[cell.task]

    def variables(self, cell: Cell, cache: Path) -> dict[str, str]:
        """A worker's environment: threads and allocator as all workers have them, and what its backend wants.

        Raises WorkerFailed where the backend does not say.
        """
        alike = {**thread_variables(), **allocator.variables(self.allocator)}
        return {**alike, **cards.variables(self.backend(cell), cell, cache)}

    def opening(self, cell: Cell, made: Prepared) -> Open:
        """Return what a cell's worker is asked first."""
        task, backend = self.task(cell).module, self.backend(cell).module
        return Open(cell=cell, task=task, backend=backend, prepared=made, files=self.files(cell.task))


NOTHING_MORE: Mapping[str, str] = {}
