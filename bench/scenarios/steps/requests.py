"""What a worker is asked of a cell whose steps are timed, and what it answers. Seconds and bytes."""

from __future__ import annotations

import msgspec

from weighbridge.bench.core.arrays import Facts
from weighbridge.bench.core.backend import Cost
from weighbridge.bench.core.record import Controls, Parity
from weighbridge.bench.scenarios.base import Request

RAN_ON = "ran_on"
"""The fact that names the device a session computed on: None where its backend does not tell."""


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A worker that has loaded its cell's model and staged its batches."""

    environment: Facts
    items: int
    """That one step takes."""
    clock_cost_s: float
    import_bytes: int | None = None
    """Resident after the backend's packages were imported."""
    energy_meter: str = ""
    item: str = ""
    """What the items are, where they are not the task's examples."""


class FirstStep(msgspec.Struct, frozen=True, kw_only=True):
    """The first step of a process."""

    first_s: float
    compiles: bool
    peak: int | None
    """Of the host's memory, until its end."""


class First(Request[FirstStep], frozen=True, tag="first"):
    """Take the first step, compilation included."""


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """Parity, and the steps that it was shown of."""

    parity: Parity
    step_s: list[float] = []


class Check(Request[Checked], frozen=True, tag="check"):
    """Judge the outputs on the fixed batch against the oracle."""


class Scored(msgspec.Struct, frozen=True, kw_only=True):
    """The task's figures, None where one is not finite, and when they were measured, UTC ISO 8601."""

    score: dict[str, float | None]
    measured: str
    moved_aside: list[str] = []
    """What was remembered and was found damaged."""


class Score(Request[Scored], frozen=True, tag="score"):
    """Run the whole eval split and score it."""


class Settled(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the peaks of host and device begin anew."""

    reset: bool
    device_reset: bool


class Settle(Request[Settled], frozen=True, tag="settle"):
    """Forget peaks so far: what follows is the steady state."""


class BlockTimes(msgspec.Struct, frozen=True, kw_only=True):
    """A block's seconds a step, and its minor page faults a step."""

    samples: list[float]
    faults: float = 0.0
    differs: str = ""
    """In what the last outputs are not those that were checked; empty where in nothing."""


class Block(Request[BlockTimes], frozen=True, tag="block"):
    """Time `steps` steps. `mode`: each one synchronised, all `queued`, or what else a scenario steps through.

    `lead_in` steps go before them untimed: a process that was stopped finds its caches cold. The last step's outputs
    are held against those that were checked.
    """

    steps: int
    mode: str = "latency"
    repeats: int = 1
    lead_in: int = 0


class Suspect(Request[str], frozen=True, tag="suspect"):
    """Look for answers that are remembered, or not done when they are said to be. Apart from timing, and after it.

    The answer is the reason; empty where there is none.
    """

    step_s: float


class Energy(Request[float | None], frozen=True, tag="energy"):
    """Count the joules a step of blocks of `steps` queued steps. Asked only where `open` named a meter."""

    steps: int


class MemoryPeaks(msgspec.Struct, frozen=True, kw_only=True):
    """Peaks since the last `settle`, and what was effective. None is "n/a"."""

    host_peak_bytes: int | None
    device_peak_bytes: int | None
    device_reserved_bytes: int | None
    device_process_bytes: int | None
    facts: Facts


class Memory(Request[MemoryPeaks], frozen=True, tag="memory"):
    """Tell the peaks, and what was effective."""


class Count(Request[Cost | None], frozen=True, tag="count"):
    """Count operations and bytes of a step. Apart from timing, and after it."""


class Control(Request[Controls | None], frozen=True, tag="control"):
    """Judge the backend's own mutants on the fixed batches as it was judged. None where it has none."""


class Close(Request[None], frozen=True, tag="close"):
    """Give everything back and end."""


StepsRequest = First | Check | Score | Settle | Block | Suspect | Energy | Memory | Count | Control | Close
