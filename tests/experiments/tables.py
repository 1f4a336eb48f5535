"""What the same measurement, taken again and again, says of itself. Pure."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from weighbridge.bench.measure.statistics import Interval, Verdict
from weighbridge.bench.report.units import interval

HEADINGS = (
    "pair", "runs", "FASTER", "SLOWER", "SAME", "UNSURE", "opposed", "SAME beside another", "intervals that hold",
    "spread", "smallest", "largest",
)  # fmt: skip
NOTE = """
opposed: pairs of runs of which one says FASTER and one SLOWER. SAME beside another: one says SAME, the other FASTER or
SLOWER. Intervals that hold: share that holds the median of all ratios. Spread: standard deviation of the ratio.
"""


class Seen(NamedTuple):
    """What one run said of one pair of programs."""

    ratio: Interval
    verdict: Verdict


class Repeated(NamedTuple):
    """What all runs together say."""

    words: Mapping[Verdict, int]
    opposed: int
    """Pairs of runs of which one says FASTER and the other SLOWER."""
    beside: int
    """Pairs of runs of which one says SAME and the other FASTER or SLOWER."""
    held: float
    """Share of intervals that hold the median of all ratios."""
    spread: float
    """Standard deviation of the ratio, relative to its mean; NaN of one run."""
    smallest: Interval
    largest: Interval


def repeated(seen: Sequence[Seen]) -> Repeated:
    """Of at least one run."""
    words: Counter[Verdict] = Counter(each.verdict for each in seen)
    ratios = [each.ratio.value for each in seen]
    middle = statistics.median(ratios)
    return Repeated(
        words=words,
        opposed=words["FASTER"] * words["SLOWER"],
        beside=words["SAME"] * (words["FASTER"] + words["SLOWER"]),
        held=statistics.fmean(each.ratio.low <= middle <= each.ratio.high for each in seen),
        spread=statistics.stdev(ratios) / statistics.fmean(ratios) if len(ratios) > 1 else math.nan,
        smallest=min((each.ratio for each in seen), key=lambda ratio: ratio.value),
        largest=max((each.ratio for each in seen), key=lambda ratio: ratio.value),
    )


def row(name: str, seen: Sequence[Seen]) -> list[str]:
    """Under HEADINGS."""
    if not seen:
        return [name, "0", *["–"] * (len(HEADINGS) - 2)]
    found = repeated(seen)
    counts = [str(found.words.get(word, 0)) for word in ("FASTER", "SLOWER", "SAME", "UNSURE")]
    return [
        name, str(len(seen)), *counts, str(found.opposed), str(found.beside), f"{found.held:.0%}",
        f"{found.spread:.2%}", interval(found.smallest), interval(found.largest),
    ]  # fmt: skip


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def read_as_verdict(ratio: Interval) -> Verdict:
    """What a reader makes of an interval without a noise floor: a word wherever it does not hold 1."""
    return "FASTER" if ratio.low > 1 else "SLOWER" if ratio.high < 1 else "UNSURE"
