"""What a worker is asked of a cell whose steps are timed."""

from __future__ import annotations

import msgspec


class First(msgspec.Struct, frozen=True, tag="first"):
    """Take the first step, compilation included."""


class Check(msgspec.Struct, frozen=True, tag="check"):
    """Judge the outputs on the fixed batch against the oracle."""


class Score(msgspec.Struct, frozen=True, tag="score"):
    """Run the whole eval split and score it."""


class Settle(msgspec.Struct, frozen=True, tag="settle"):
    """Forget peaks so far: what follows is the steady state."""


class Block(msgspec.Struct, frozen=True, tag="block"):
    """Time `steps` steps. `mode`: each one synchronised, all queued, or the first token of a generation only.

    `lead_in` steps go before them untimed: a process that was stopped finds its caches cold. The last step's outputs
    are held against those that were checked.
    """

    steps: int
    mode: str = "latency"
    repeats: int = 1
    lead_in: int = 0


class Suspect(msgspec.Struct, frozen=True, tag="suspect"):
    """Look for answers that are remembered, or not done when they are said to be. Apart from timing, and after it."""

    step_s: float


class Energy(msgspec.Struct, frozen=True, tag="energy"):
    """Count the joules of blocks of `steps` queued steps. Asked only where `open` named a meter."""

    steps: int


class Memory(msgspec.Struct, frozen=True, tag="memory"):
    """Tell the peaks, and what was effective."""


class Count(msgspec.Struct, frozen=True, tag="count"):
    """Count operations and bytes of a step. Apart from timing, and after it."""


class Close(msgspec.Struct, frozen=True, tag="close"):
    """Give everything back and end."""
