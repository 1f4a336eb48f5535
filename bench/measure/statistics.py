"""Statistics of raw samples: medians, intervals over processes, verdicts. Pure.

The unit is never a step: steps of one process share its memory layout, and steps of one block are
correlated. Of several processes the interval is Student's over the logarithms of their medians, since a process is the
sample that varies most (measuring rules 5 and 29) and three of them are too few for a bootstrap: docs/design/007.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain, repeat
from operator import truediv
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

STEADY_SAMPLES = 10
CONFIDENCE = 0.95
LARGE_N = 500
FEWEST_PROCESSES = 3
"""Under three processes a side no verdict is given: what one process alone shows is a lean."""
FEWEST_BLOCKS = 5
"""Under five blocks even the whole range of what was seen covers a median with less than 94 % (1 - 2/2^n)."""
Verdict = Literal["FASTER", "SLOWER", "SAME", "UNSURE"]
Lean = Literal["FASTER", "SLOWER", ""]
Processes = Sequence[Sequence[float]]
"""One figure a block (seconds a step, or a ratio), block by block, process by process."""


class Interval(msgspec.Struct, frozen=True):
    """A median and the 95 % interval around it; all NaN where there is nothing to tell."""

    value: float
    low: float
    high: float

    @property
    def relative_error(self) -> float:
        """Half the width over the value; infinite where there is none."""
        return (self.high - self.low) / 2 / self.value if self.value > 0 else math.inf

    @property
    def inverse(self) -> Interval:
        """Return the interval of a ratio's inverse."""
        return Interval(1 / self.value, 1 / self.high, 1 / self.low)


NOTHING = Interval(math.nan, math.nan, math.nan)


def median(samples: Sequence[float]) -> float:
    """The median; NaN of nothing. Plain Python: numpy takes ten times as long on the few figures of a block."""
    return _middle(sorted(samples))


def _middle(ordered: Sequence[float]) -> float:
    """The median of samples in order of size."""
    n = len(ordered)
    if not n:
        return math.nan
    return ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2


def block_medians(samples: Sequence[float], sizes: Sequence[int]) -> list[float]:
    """Samples of a process in order, cut into blocks of these sizes: the median of each block."""
    if sum(sizes) != len(samples):
        raise ValueError(f"blocks hold {sum(sizes)} samples, there are {len(samples)}")
    medians: list[float] = []
    start = 0
    for size in sizes:
        block = sorted(samples[start : start + size])
        medians.append(block[size // 2] if size % 2 else _middle(block))
        start += size
    return medians


def interval(processes: Processes) -> Interval:
    """Return what the processes have in common, and its 95 % interval. NaN and infinity in, nothing out.

    Of several: the geometric mean of their medians, and Student's interval around it; it is never narrower than what
    the blocks inside of the processes leave open. Of one process: the median of its blocks and the percentile interval
    of that median's bootstrap distribution, which is known in closed form (Efron 1979; Maritz & Jarrett 1978).
    """
    kept = [sorted(process) for process in processes if len(process)]
    for process in kept:
        if not (process[0] > 0 and math.isfinite(process[-1])):
            return NOTHING
    if not kept:
        return NOTHING
    inside = [_of_one(process) for process in kept]
    if len(kept) == 1:
        return inside[0]
    logs = [math.log(each.value) for each in inside]
    centre = math.fsum(logs) / len(logs)
    deviation = math.sqrt(math.fsum((each - centre) ** 2 for each in logs) / (len(logs) - 1))
    between = students_t(len(logs) - 1) * deviation / math.sqrt(len(logs))
    within = math.hypot(*(math.log(each.high / each.low) / 2 for each in inside)) / len(inside)
    half = max(between, within)
    return Interval(math.exp(centre), math.exp(centre - half), math.exp(centre + half))


def no_narrower(found: Interval, spread: float) -> Interval:
    """The interval, as wide at least as a normal distribution of this standard deviation, in logarithms, makes it."""
    if not spread:
        return found
    half = NORMAL * spread
    low, high = found.value * math.exp(-half), found.value * math.exp(half)
    return Interval(found.value, min(found.low, low), max(found.high, high))


NORMAL = 1.96
"""Of a normal distribution 95 % lie within as many standard deviations."""


def _of_one(ordered: Sequence[float]) -> Interval:
    """Return the interval of one process, whose blocks come in order of size."""
    low, high = _ranks(len(ordered))
    return Interval(_middle(ordered), ordered[low], ordered[high])


STUDENTS_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131, 2.120,
    2.110, 2.101, 2.093, 2.086,
)  # fmt: skip
"""The 97.5 % points of Student's distribution for 1 to 20 degrees of freedom (held against scipy by a test)."""


def students_t(freedom: int) -> float:
    """The 97.5 % point; beyond the table that of 20 degrees, which is 6 % too wide at most."""
    return STUDENTS_T[min(freedom, len(STUDENTS_T)) - 1]


@lru_cache
def _ranks(n: int) -> tuple[int, int]:
    """Indices, in order of size, of the 2.5 % and 97.5 % points of the bootstrapped median of n values.

    The lower median of a resample is at most the k-th value when at least ceil(n/2) draws are: a binomial(n, k/n).
    """
    at_most = at_least(math.ceil(n / 2), n)
    low = int(np.argmax(at_most >= (1 - CONFIDENCE) / 2))
    return low, n - 1 - low


def at_least(successes: int, n: int) -> NDArray[np.float64]:
    """P(binomial(n, k/n) >= successes) for k = 1 ... n.

    Summed term by term in logarithms; scipy, which takes a quarter of a second to import, is asked only where n is
    large.
    """
    p = np.arange(1, n + 1) / n
    if n > LARGE_N:
        from scipy.special import bdtrc

        return bdtrc(successes - 1, n, p)
    j = np.arange(successes, n + 1)
    ways = np.array([math.lgamma(n + 1) - math.lgamma(i + 1) - math.lgamma(n - i + 1) for i in j])
    failing = np.log1p(-p[:-1])
    terms = np.exp(ways[:, None] + j[:, None] * np.log(p[:-1]) + (n - j)[:, None] * failing)
    return np.append(np.minimum(terms.sum(axis=0), 1.0), 1.0)


def paired_ratios(over: Processes, under: Processes) -> list[list[float]]:
    """`over / under` of blocks that were timed in the same turn; what one side lacks, or holds as NaN, is left out.

    Times are above zero, and so is their ratio.
    """
    ratios = [map(truediv, ours, theirs) for ours, theirs in zip(over, under, strict=False)]
    return [[ratio for ratio in process if ratio > 0] for process in ratios]


def without(processes: Processes, left_out: Sequence[Sequence[bool]]) -> list[list[float]]:
    """Return the same blocks, NaN where they are to be left out."""
    marks = chain(left_out, repeat(()))
    return [
        [math.nan if out else value for value, out in zip(process, chain(marked, repeat(False)), strict=False)]
        for process, marked in zip(processes, marks, strict=False)
    ]


def known(processes: Processes) -> list[list[float]]:
    """Drop what is NaN."""
    return [[value for value in process if not math.isnan(value)] for process in processes]


def enough(processes: Processes) -> bool:
    """Whether a verdict can be given of so many processes and blocks."""
    counts = list(filter(None, map(len, processes)))
    return len(counts) >= FEWEST_PROCESSES and sum(counts) >= FEWEST_BLOCKS


def unpaired_ratio(over: Interval, under: Interval) -> Interval:
    """Ratio of two independent medians, its interval recovered from theirs in logarithms (MOVER, Zou & Donner 2008)."""
    if not all(value > 0 for value in (over.low, under.low)):
        return NOTHING
    a, la, ua = (math.log(value) for value in (over.value, over.low, over.high))
    b, lb, ub = (math.log(value) for value in (under.value, under.low, under.high))
    low, high = a - b - math.hypot(a - la, ub - b), a - b + math.hypot(ua - a, b - lb)
    return Interval(math.exp(a - b), math.exp(low), math.exp(high))


def verdict(ratio: Interval, floor: float, enough: bool) -> Verdict:
    """One word for a ratio above 1 where faster: outside the noise floor as a whole, inside as a whole, or neither.

    UNSURE where there were not `enough` processes and blocks for any other word.
    """
    if not enough:
        return "UNSURE"
    if ratio.low > 1 + floor:
        return "FASTER"
    if ratio.high < 1 / (1 + floor):
        return "SLOWER"
    return "SAME" if ratio.low >= 1 / (1 + floor) and ratio.high <= 1 + floor else "UNSURE"


def lean(ratio: Interval, floor: float) -> Lean:
    """Return where a ratio without a verdict points: the side of the noise floor on which it lies; empty inside."""
    return "FASTER" if ratio.value > 1 + floor else "SLOWER" if ratio.value < 1 / (1 + floor) else ""


def break_even_calls(extra_compile_s: float, saved_s_a_call: float) -> float | None:
    """Calls after which a longer compilation is repaid; 0 where there is none to repay, None where it never is."""
    if saved_s_a_call <= 0:
        return None
    return max(0.0, extra_compile_s / saved_s_a_call)


def relative_error_of_median(samples: Sequence[float]) -> float:
    """Half the width of the 95 % order-statistic interval of the median, over the median.

    Distribution-free: the ranks are those of a binomial(n, 1/2) (Hettmansperger & Sheather 1986). Infinite
    under six samples, for which no such interval exists.
    """
    n = len(samples)
    if n < 6:
        return float("inf")
    ordered = np.sort(samples)
    half_width = 0.98 * np.sqrt(n)
    low, high = max(0, int(np.floor(n / 2 - half_width))), min(n - 1, int(np.ceil(n / 2 + half_width)))
    return float((ordered[high] - ordered[low]) / 2 / max(np.median(ordered), 1e-300))


def has_settled(samples: Sequence[float], bound: float) -> bool:
    """Whether there are enough samples and their median is known to within `bound`, relative."""
    return len(samples) >= STEADY_SAMPLES and relative_error_of_median(samples) <= bound


def is_warm(samples: Sequence[float], window: int = 3, drift: float = 0.1) -> bool:
    """Whether the last `window` steps are no longer faster than the `window` before by more than `drift`."""
    if len(samples) < 2 * window:
        return False
    before, after = np.min(samples[-2 * window : -window]), np.min(samples[-window:])
    return bool(after >= before * (1 - drift))
