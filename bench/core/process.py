"""What one process of a cell gave, as it is written down, and what is taken from several of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Protocol, TypeVar

import msgspec
from msgspec import Meta

from weighbridge.bench.core.arrays import Facts

Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0, le=1e9)]
"""Nobody waits for thirty years."""
Slowdown = Annotated[float, Meta(ge=0, le=1e6)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
"""Of steps or bytes. These bounds hold where a record is read: a figure beyond them is damage."""


class Process(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What one process of a cell gave. Seconds and bytes; None is "n/a"."""

    first_s: Seconds | None = None
    """The first step: in the first process from an empty compile cache, in later ones from a filled one."""
    compiled: bool = False
    """Whether the first step compiled."""
    import_bytes: Count | None = None
    """Resident after the backend's packages were imported, before a model was loaded: what of a peak is libraries."""
    first_peak_bytes: Count | None = None
    """The host's peak until the end of the first step."""
    warmup_s: list[Seconds] = []
    step_s: list[Seconds] = []
    blocks: list[Count] = []
    """How many of `step_s` each block took; block j of process i was timed in the same turn as block j of process i of
    every other cell of the group."""
    crowded: list[bool] = []
    """Whether each block had a busy neighbour: such a block is kept and counts for no verdict."""
    slowdown: list[Slowdown] = []
    """How many times as long as at its shortest a fixed piece of work took around each block; empty where nobody
    looked, as outside of a virtual machine."""
    minor_faults: list[float] = []
    """Page faults a step of each block."""
    queued_step_s: list[Seconds] = []
    """Seconds a step of each block of queued steps: one a turn."""
    queued_in_turns: bool = True
    """Whether queued blocks were part of the turns; they were not before schema 3."""
    first_token_s: list[Seconds] = []
    host_peak_bytes: Count | None = None
    device_peak_bytes: Count | None = None
    device_reserved_bytes: Count | None = None
    device_process_bytes: Count | None = None
    energy_j_per_step: Annotated[float, Meta(ge=0, le=1e12)] | None = None
    """Of the whole package or device, what idles included; None where nothing counts it."""
    result: Facts | None = None
    """What only the cell's scenario knows, with a `type` and a `version` of its own: kept by who knows neither."""

    @property
    def brief(self) -> Process:
        """The same without samples."""
        none: list[float] = []
        return msgspec.structs.replace(
            self, warmup_s=none, step_s=none, minor_faults=none, queued_step_s=none, first_token_s=none
        )


class HasBlocks(Protocol):
    """Whatever of a process tells its blocks."""

    @property
    def blocks(self) -> list[int]: ...


P = TypeVar("P", bound=HasBlocks)


def until_the_last_timed(processes: Sequence[P]) -> list[P]:
    """Drop those at the end that were not timed: one that failed early must not count as a process."""
    last = len(processes)
    while last and not processes[last - 1].blocks:
        last -= 1
    return list(processes[:last])


def steady_peaks(peaks: Sequence[int | None]) -> list[int]:
    """Those of all processes but the first, which also compiled and scored; the first's where there is no other.

    Where a device's peaks cannot be reset they are of the compilation, too, and what compiling and scoring leave in a
    heap that keeps its pages is no part of a steady state (MiniLM on Flax: 343 to 377 MiB with it, 320 without).
    """
    return [peak for peak in peaks[1:] if peak is not None] or [peak for peak in peaks[:1] if peak is not None]


def steady_peak(peaks: Sequence[int | None]) -> int | None:
    """The largest of `steady_peaks`; None where nobody knows any."""
    return max(steady_peaks(peaks), default=None)
