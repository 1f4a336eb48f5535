"""Statistics of raw samples. Pure. Intervals and verdicts build on what stands here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

STEADY_SAMPLES = 10


def median(samples: Sequence[float]) -> float:
    """The median; NaN of nothing."""
    return float(np.median(samples)) if len(samples) else float("nan")


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
