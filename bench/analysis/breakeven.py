"""How many calls repay a longer compilation, from the interval of the ratio. Pure."""

from __future__ import annotations

from typing import Literal

import msgspec

from weighbridge.bench.measure.statistics import Interval, Verdict


class BreakEven(msgspec.Struct, frozen=True, kw_only=True):
    """Calls until a compilation longer than the reference's is repaid: a range, or the word why there is none."""

    value: float | None = None
    """By the ratio itself; `low` and `high` by the ends of its interval."""
    low: float | None = None
    high: float | None = None
    word: Literal["never", "unknown", ""] = ""
    """`never`: a call saves nothing. `unknown`: it is not shown that one saves anything."""

    @property
    def shown(self) -> float | str | None:
        """The calls, or the word why there are none."""
        return self.word or self.value


AT_ONCE = BreakEven(value=0.0, low=0.0, high=0.0)
NEVER = BreakEven(word="never")
UNKNOWN = BreakEven(word="unknown")


def break_even(extra_s: float | None, reference_step_s: float, ratio: Interval, verdict: Verdict) -> BreakEven | None:
    """Return the calls that repay a compilation; None where it was not timed, no number where the interval holds 1."""
    if extra_s is None:
        return None
    if verdict == "SLOWER":
        return NEVER
    if verdict == "UNSURE":
        return UNKNOWN
    if extra_s <= 0:
        return AT_ONCE
    if verdict == "SAME":
        return UNKNOWN
    calls = [extra_s / (reference_step_s * (1 - 1 / each)) for each in (ratio.value, ratio.high, ratio.low)]
    return BreakEven(value=calls[0], low=calls[1], high=calls[2])
