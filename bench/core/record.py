"""What is learned of a cell, as it is written down: raw figures, from which every statistic is derived."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from statistics import median
from typing import Annotated

import msgspec
from msgspec import Meta

from weighbridge.bench.core.arrays import Facts
from weighbridge.bench.core.backend import Cost
from weighbridge.bench.core.card import TaskCard
from weighbridge.bench.core.cell import Cell, Device, Pairing, Precision, Status, StoppedBy
from weighbridge.bench.core.process import Count, Process, Seconds, Share, steady_peak, until_the_last_timed
from weighbridge.bench.core.task import Target

SCHEMA = 4
"""Version of `Record`. 1: first published form. 2: `blocks`, `pairing`, `stopped_by`, `noise`. 3: `queued_blocks`,
`minor_faults`, `crowded`, `host_import_bytes`, `contenders`; `implausible`; the host's allocator is footing. 4: what a
process gave stands together, in `processes`."""
DEFAULT_FLOOR = 0.02
"""The noise floor of a machine that nobody calibrated; `weighbridge calibrate` replaces it by what was measured."""
DEFAULT_BETWEEN_RUNS = 0.10
"""How far whole runs of identical code differ where neither `calibrate` nor tests.experiments.repeat measured it."""


class Controls(msgspec.Struct, frozen=True, kw_only=True):
    """What a parity check makes of a backend's model with one mistake in it, made on purpose: negative controls."""

    killed: list[str] = []
    """Mistakes that the check refused."""
    survived: list[str] = []
    """Those that it let pass, though outputs changed."""
    idle: list[str] = []
    """Those that changed no output of this model on these rows: they prove nothing."""
    unmade: dict[str, str] = {}
    """Those that cannot be made of this model, or that it cannot run, and why: no check was needed to see these."""


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How far outputs are from the float64 oracle, in units of how far the reference's are."""

    ratio: Annotated[float, Meta(ge=0)] | None
    """None where it is not finite: an output is missing, misshapen, or holds NaN or infinity."""
    limit: Annotated[float, Meta(gt=0, le=10)]
    passed: bool
    decisions_equal: float | None = None
    """Share of identical argmax or tokens, 1.0 where all agree; None where the task has no decision."""
    output: str = ""
    """The output with the largest ratio."""
    difference: Annotated[float, Meta(ge=0)] | None = None
    """Of that output, the largest distance of a number from the reference's, in the output's own unit."""
    scale: Annotated[float, Meta(ge=0)] | None = None
    """Root mean square of that output by the oracle, in the same unit: what the difference is to be held against."""
    controls: Controls | None = None
    """None where none were made: the backend has no mistakes to make, or nobody asked."""


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """How noisy the machine was: the floor that `weighbridge calibrate` measured, and what went on beside this."""

    floor: Share = DEFAULT_FLOOR
    """How far 1 may lie outside the interval of the ratio of two equal programs here."""
    calibrated: str = ""
    """When it was measured, UTC ISO 8601; empty where this machine was not calibrated and a default stands in."""
    cpus_elsewhere: float | None = None
    """Processors that other processes kept busy while this was timed, on average; None where it cannot be known."""
    between_runs: Share | None = None
    """How far the steps of whole runs of identical code differ, all but one time in twenty; None if not measured."""
    ratio_spread: Share | None = None
    """Standard deviation of the logarithm of the ratio to the reference, between whole runs; None if not measured."""
    warnings: list[str] = []


class Peaks(msgspec.Struct, frozen=True, kw_only=True):
    """What one device of one machine can do at most (see `bench.run.peaks`)."""

    machine: str
    device: Device
    bytes_per_s: float
    """Read and written by a copy, added up."""
    flops_per_s: dict[Precision, float]
    """Two operations a multiplication with addition."""
    measured: str
    """UTC, ISO 8601."""
    by: str
    """The backend whose product and copy it was."""


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader must know to believe a score: the data, the weights, and the figures to hold it against."""

    source: str
    licence: str
    weights: str
    """`packaged`, `trained`, `seeded`, or `given` by a user; the score of seeded weights says nothing."""
    item: str
    target: Target
    baseline: Target
    family: str = ""
    """Of the task; empty in records of before it was written down."""
    contenders: list[str] = []
    """The backends, not hidden ones, that could have been weighed on this cell here; empty where it is not known."""


def provenance(task: TaskCard, cell: Cell, contenders: Sequence[str] = ()) -> Provenance:
    """Return what a record says of a task, and of who could have been weighed on it."""
    weights = "given" if cell.weights else str(task.models[cell.preset].weights.__struct_config__.tag)
    return Provenance(
        source=task.source,
        licence=task.licence,
        weights=weights,
        item=task.item,
        target=task.target,
        baseline=task.baseline,
        family=task.family,
        contenders=list(contenders),
    )


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """Everything learned of a cell. Documented field by field in docs/records.md."""

    cell: Cell
    status: Status
    reason: str = ""
    schema: int = SCHEMA
    tier: str = "quick"
    processes: list[Process] = []
    pairing: Pairing = ""
    stopped_by: StoppedBy = ""
    settled: bool | None = None
    items_per_step: Count = 0
    item: str = ""
    score: dict[str, float | None] = {}
    """None where a figure is not finite."""
    parity: Parity | None = None
    cost: Cost | None = None
    """What this backend counted; None where it cannot."""
    peaks: Peaks | None = None
    """What the machine can do at most, where `weighbridge peaks` measured it."""
    facts: Facts = {}
    noise: Noise | None = None
    about: Provenance | None = None
    environment: Facts = {}
    started: str = ""
    wall_s: Seconds = 0.0

    @property
    def brief(self) -> Record:
        """The same without samples, most of its memory; whole where a scenario alone knows what its processes gave."""
        if any(each.result is not None for each in self.processes):
            return self
        return msgspec.structs.replace(self, processes=[each.brief for each in self.processes])

    @property
    def step_s(self) -> list[float]:
        """Every timed step."""
        return list(chain.from_iterable(each.step_s for each in self.processes))

    @property
    def timed(self) -> list[Process]:
        """The processes up to the last that was timed."""
        return until_the_last_timed(self.processes)

    @property
    def blocks(self) -> list[list[int]]:
        """Return how many steps each block took, for each timed process."""
        return [each.blocks for each in self.timed]

    @property
    def crowded(self) -> list[list[bool]]:
        """Return whether each block had a busy neighbour, for each timed process."""
        return [each.crowded for each in self.timed]

    @property
    def slowdown(self) -> list[float]:
        """Return how slow the processors were around each block, of all timed processes."""
        return list(chain.from_iterable(each.slowdown for each in self.timed))

    @property
    def minor_faults(self) -> list[list[float]]:
        """Return page faults a step of each block, for each timed process."""
        return [each.minor_faults for each in self.timed]

    @property
    def queued_step_s(self) -> list[float]:
        """Seconds a step of every queued block."""
        return list(chain.from_iterable(each.queued_step_s for each in self.processes))

    @property
    def queued_blocks(self) -> list[int]:
        """Return how many queued blocks each timed process took; empty where they were no part of the turns."""
        in_turns = all(each.queued_in_turns for each in self.processes)
        return [len(each.queued_step_s) for each in self.timed] if in_turns else []

    @property
    def warmup_s(self) -> list[float]:
        """Every step of the warm-up."""
        return [seconds for each in self.processes for seconds in each.warmup_s]

    @property
    def first_token_s(self) -> list[float]:
        """Every time to a first token."""
        return [seconds for each in self.processes for seconds in each.first_token_s]

    @property
    def compile_s(self) -> float | None:
        """The first step from an empty compile cache."""
        return self.processes[0].first_s if self.processes else None

    @property
    def warm_compile_s(self) -> float | None:
        """The first step of a later process that compiled from a filled cache; None where none does."""
        warm = [each.first_s for each in self.processes[1:] if each.compiled]
        return warm[0] if warm else None

    @property
    def compile_host_peak_bytes(self) -> int | None:
        """The host's peak until the end of the first step from an empty cache."""
        return self.processes[0].first_peak_bytes if self.processes else None

    @property
    def host_import_bytes(self) -> int | None:
        """Resident after the backend's packages were imported, of the processes that `host_peak_bytes` is of: a first
        one may import more, to make what later ones find."""
        return steady_peak([each.import_bytes for each in self.processes])

    @property
    def host_peak_bytes(self) -> int | None:
        """Return the host's peak in the steady state."""
        return steady_peak([each.host_peak_bytes for each in self.processes])

    @property
    def device_peak_bytes(self) -> int | None:
        """Live memory of the steady state."""
        return steady_peak([each.device_peak_bytes for each in self.processes])

    @property
    def device_reserved_bytes(self) -> int | None:
        """Return what the device's allocator held in the steady state."""
        return steady_peak([each.device_reserved_bytes for each in self.processes])

    @property
    def device_process_bytes(self) -> int | None:
        """Return what the driver books on the process."""
        return steady_peak([each.device_process_bytes for each in self.processes])

    @property
    def energy_j_per_step(self) -> float | None:
        """The median of all processes; None where nothing counts it."""
        known = [each.energy_j_per_step for each in self.processes if each.energy_j_per_step is not None]
        return median(known) if known else None
