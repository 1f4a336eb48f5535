"""Figures as readers of the field expect them: units, sensible digits, thousands."""

from __future__ import annotations

import math
from collections.abc import Callable

from weighbridge.bench.analysis.breakeven import BreakEven
from weighbridge.bench.measure.statistics import Interval, Lean, Verdict


def number(value: float | None, unit: str = "", digits: int = 3) -> str:
    """`digits` significant digits, thousands separated; a dash where there is nothing."""
    if value is None:
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:#.{digits}g}".rstrip(".")
    return text + (f" {unit}" if unit else "")


def seconds(value: float | None) -> str:
    """Return a time in the unit that a reader expects."""
    if value is None:
        return "–"
    if not value:
        return "0 s"
    for scale, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= scale:
            return number(value / scale, unit)
    return number(value / 1e-9, "ns")


def size(value: int | None) -> str:
    """Bytes as MiB or GiB; `n/a` where it cannot be known."""
    if value is None:
        return "n/a"
    return number(value / 2**30, "GiB") if value >= 2**30 else number(value / 2**20, "MiB")


def percent(share: float) -> str:
    """`2.5 %`, without a trailing zero."""
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def interval(found: Interval) -> str:
    """`1.003× [0.998, 1.009]`: finer than a table's, for comparisons of equal programs."""
    return f"{found.value:.3f}× [{found.low:.3f}, {found.high:.3f}]"


def times(value: float | None, found: Interval | None) -> str:
    """`1.42× [1.38, 1.47]`; a dash where there is no ratio."""
    if value is None:
        return "–"
    return f"{value:.2f}×" + (f" {bounds(found, '{:.2f}'.format)}" if found else "")


NO_BOUNDS = "[no bounds]"
"""What a table shows of an interval that says nothing; report.csv has its ends."""
SAYS_NOTHING = 10.0
"""With ends so many times as large and as small as the value: few blocks of several processes leave it open."""


def bounds(found: Interval, show: Callable[[float], str]) -> str:
    """`[1.38, 1.47]`; `[no bounds]` where both ends are more than ten times off."""
    if found.high > SAYS_NOTHING * found.value and found.low < found.value / SAYS_NOTHING:
        return NO_BOUNDS
    return f"[{show(found.low)}, {show(found.high)}]"


def word(verdict: Verdict | None, lean: Lean) -> str:
    """`FASTER`; `UNSURE, leans FASTER`; empty where there is none."""
    return f"{verdict}, leans {lean}" if verdict and lean else verdict or ""


def calls(found: BreakEven | None) -> str:
    """`12,300 calls (9,800 to 14,100)`; `never`, `unknown`; a dash where it cannot be told."""
    if found is None or (found.value is None and not found.word):
        return "–"
    if found.value is None:
        return found.word
    low, value, high = (_whole(each) for each in (found.low, found.value, found.high))
    return f"{value} call{'s' if value != '1' else ''}" + (f" ({low} to {high})" if low != high else "")


def _whole(value: float | None) -> str:
    """Rounded to three digits, and never down to nothing."""
    whole = math.ceil(value or 0.0)
    return f"{round(whole, -max(0, len(str(whole)) - 3)):,}"


def scaled(value: float, unit: str) -> str:
    """Return a number with the prefix that leaves up to three digits before the point."""
    for scale, prefix in ((1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return number(value / scale, prefix + unit)
    return number(value, unit)
