"""Statistics of raw samples: medians, intervals by hierarchical bootstrap, verdicts. Pure.

The unit that is resampled is never a step: steps of one process share its memory layout, and steps of one block
share the machine's mood. Processes are drawn first, then blocks within each (MEASURING.md, rules 5 and 6), and
the statistic is the median of all blocks drawn.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from operator import truediv
from typing import Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

STEADY_SAMPLES = 10
CONFIDENCE = 0.95
LARGE_N = 500
RESAMPLES = 2000
FEWEST_BLOCKS = 5
"""Under five blocks even the whole range of what was seen covers a median with less than 94 % (1 - 2/2^n)."""

Verdict = Literal["FASTER", "SLOWER", "SAME", "UNSURE"]
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
        """Of a ratio's inverse."""
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


def block_medians(samples: list[float], blocks: Sequence[Sequence[int]]) -> list[list[float]]:
    """Samples in order, cut into blocks of these sizes, process by process: the median of each block."""
    wanted = sum(map(sum, blocks))
    if blocks and wanted != len(samples):
        raise ValueError(f"blocks hold {wanted} samples, there are {len(samples)}")
    found: list[list[float]] = []
    start = 0
    for process in blocks:
        medians: list[float] = []
        for size in process:
            block = samples[start : start + size]
            block.sort()
            medians.append(_middle(block))
            start += size
        found.append(medians)
    return found


def interval(processes: Processes) -> Interval:
    """The median of all blocks, and its 95 % percentile interval under a bootstrap of processes, then blocks.

    Of one process the bootstrap distribution of a median is known in closed form (Efron 1979; Maritz & Jarrett
    1978), and no number is drawn. NaN and infinity in, nothing out.
    """
    kept = [process for process in processes if len(process)]
    pooled = sorted(kept[0] if len(kept) == 1 else chain.from_iterable(kept))
    if not pooled or not math.isfinite(sum(pooled)):
        return NOTHING
    if len(kept) == 1:
        low, high = _ranks(len(pooled))
        return Interval(_middle(pooled), pooled[low], pooled[high])
    low, high = np.quantile(_resampled_medians(kept), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Interval(_middle(pooled), float(low), float(high))


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


def _resampled_medians(processes: Processes) -> NDArray[np.float64]:
    """Medians of `RESAMPLES` hierarchical draws, the same ones at every call."""
    rng = np.random.default_rng(0)
    count, sizes = len(processes), np.array([len(process) for process in processes])
    offsets = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    values = np.concatenate([np.asarray(process, np.float64) for process in processes])
    chosen = rng.integers(count, size=(RESAMPLES, count))
    within = rng.random((RESAMPLES, count, int(sizes.min())))
    index = offsets[chosen][:, :, None] + (within * sizes[chosen][:, :, None]).astype(np.int64)
    return np.median(values[index].reshape(RESAMPLES, -1), axis=1)


def paired_ratios(over: Processes, under: Processes) -> list[list[float]]:
    """`over / under` of blocks that were timed in the same turn; what one side lacks is left out."""
    return [list(map(truediv, ours, theirs)) for ours, theirs in zip(over, under, strict=False)]


def unpaired_ratio(over: Interval, under: Interval) -> Interval:
    """Ratio of two independent medians, its interval recovered from theirs in logarithms (MOVER, Zou & Donner 2008)."""
    if not all(value > 0 for value in (over.low, under.low)):
        return NOTHING
    a, la, ua = (math.log(value) for value in (over.value, over.low, over.high))
    b, lb, ub = (math.log(value) for value in (under.value, under.low, under.high))
    low, high = a - b - math.hypot(a - la, ub - b), a - b + math.hypot(ua - a, b - lb)
    return Interval(math.exp(a - b), math.exp(low), math.exp(high))


def verdict(ratio: Interval, floor: float, blocks: int) -> Verdict:
    """One word for a ratio above 1 where faster: outside the noise floor as a whole, inside as a whole, or neither."""
    if blocks < FEWEST_BLOCKS:
        return "UNSURE"
    if ratio.low > 1 + floor:
        return "FASTER"
    if ratio.high < 1 / (1 + floor):
        return "SLOWER"
    return "SAME" if ratio.low >= 1 / (1 + floor) and ratio.high <= 1 + floor else "UNSURE"


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
