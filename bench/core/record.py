"""What is learned of a cell, as it is written down: raw figures, from which every statistic is derived."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from bench.core.backend import Cost
from bench.core.card import TaskCard
from bench.core.cell import Cell, Device, Pairing, Precision, Preset, Status, StoppedBy
from bench.core.task import Target

SCHEMA = 3
"""Version of `Record`. 1: first published form. 2: `blocks`, `pairing`, `stopped_by`, `noise`. 3: `queued_blocks`,
`minor_faults`, `crowded`, `host_import_bytes`, `contenders`; `implausible`; the host's allocator is footing."""
DEFAULT_FLOOR = 0.02
"""The noise floor of a machine that nobody calibrated; `weighbridge calibrate` replaces it by what was measured."""
DEFAULT_BETWEEN_RUNS = 0.10
"""How far whole runs of identical code differ where neither `calibrate` nor tests.experiments.repeat measured it."""


class Parity(msgspec.Struct, frozen=True, kw_only=True):
    """How far outputs are from the float64 oracle, in units of how far the reference's are."""

    ratio: float | None
    """None where it is not finite: an output is missing, misshapen, or holds NaN or infinity."""
    limit: float
    passed: bool
    decisions_equal: float | None = None
    """Share of identical argmax or tokens, 1.0 where all agree; None where the task has no decision."""
    output: str = ""
    """The output with the largest ratio."""


class Noise(msgspec.Struct, frozen=True, kw_only=True):
    """How noisy the machine was: the floor that `weighbridge calibrate` measured, and what went on beside this."""

    floor: float = DEFAULT_FLOOR
    """How far 1 may lie outside the interval of the ratio of two equal programs here."""
    calibrated: str = ""
    """When it was measured, UTC ISO 8601; empty where this machine was not calibrated and a default stands in."""
    cpus_elsewhere: float | None = None
    """Processors that other processes kept busy while this was timed, on average; None where it cannot be known."""
    between_runs: float | None = None
    """How far the steps of whole runs of identical code differ, all but one time in twenty; None if not measured."""
    ratio_spread: float | None = None
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
    """`packaged`, `trained` or `seeded`; the score of seeded weights says nothing."""
    item: str
    target: Target
    baseline: Target
    family: str = ""
    """Of the task; empty in records of before it was written down."""
    contenders: list[str] = []
    """The backends, not hidden ones, that could have been weighed on this cell here; empty where it is not known."""


def provenance(task: TaskCard, preset: Preset, contenders: Sequence[str] = ()) -> Provenance:
    """What a record says of a task, and of who could have been weighed on it."""
    weights = str(task.models[preset].weights.__struct_config__.tag)
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
    compile_s: float | None = None
    warm_compile_s: float | None = None
    warmup_s: list[float] = []
    step_s: list[float] = []
    blocks: list[list[int]] = []
    """Per process, how many of `step_s` each block took; block j of process i was timed in the same turn as block j
    of process i of every other cell of the group."""
    pairing: Pairing = ""
    stopped_by: StoppedBy = ""
    queued_step_s: list[float] = []
    """Seconds a step of each block of queued steps, process by process."""
    queued_blocks: list[int] = []
    """Per process, how many of `queued_step_s` are its own: one a turn. Empty in records whose queued blocks were no
    part of the turns."""
    minor_faults: list[list[float]] = []
    """Per process, minor page faults a step of each block."""
    crowded: list[list[bool]] = []
    """Per process, whether each block had a busy neighbour: such a block is kept and counts for no verdict."""
    first_token_s: list[float] = []
    settled: bool | None = None
    items_per_step: int = 0
    item: str = ""
    score: dict[str, float | None] = {}
    """None where a figure is not finite."""
    parity: Parity | None = None
    host_peak_bytes: int | None = None
    host_import_bytes: int | None = None
    """Resident after the backend's packages were imported, before a model was loaded: what of the peak is libraries."""
    compile_host_peak_bytes: int | None = None
    device_peak_bytes: int | None = None
    device_reserved_bytes: int | None = None
    device_process_bytes: int | None = None
    energy_j_per_step: float | None = None
    """Of the whole package or device, what idles included; None where nothing counts it."""
    cost: Cost | None = None
    """What this backend counted; None where it cannot."""
    peaks: Peaks | None = None
    """What the machine can do at most, where `weighbridge peaks` measured it."""
    facts: dict[str, Any] = {}
    noise: Noise | None = None
    about: Provenance | None = None
    environment: dict[str, Any] = {}
    started: str = ""
    wall_s: float = 0.0
