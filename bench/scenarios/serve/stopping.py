"""MLPerf's early stopping: what so many queries allow to be said of a percentile, at 99 % confidence.

With n queries, t of them over a bound, the share over it is under 1 - p at confidence c where
P(Binomial(n, 1 - p) <= t) <= 1 - c. Source: MLPerf Inference's LoadGen, early_stopping.cc, tolerance 0; its published
fewest counts are those of `fewest_queries`: 64 for p90 and 662 for p99 with one query over, 459 for p99 with none.
"""

from __future__ import annotations

from collections.abc import Sequence

CONFIDENCE = 0.99


def fewest_queries(over: int, percentile: float, confidence: float = CONFIDENCE) -> int:
    """Return how many queries, `over` of them over the bound, show that a percentile in (0, 1) is within it."""
    least, most = over + 1, 2 * over + 2
    while not shown(most, over, percentile, confidence):
        least, most = most + 1, 2 * most
    while least < most:
        middle = (least + most) // 2
        least, most = (least, middle) if shown(middle, over, percentile, confidence) else (middle + 1, most)
    return least


def shown(queries: int, over: int, percentile: float, confidence: float = CONFIDENCE) -> bool:
    """Whether so many over the bound, of so many, show that the percentile is within it."""
    from scipy.special import bdtr

    return over < queries and float(bdtr(over, queries, 1 - percentile)) <= 1 - confidence


def most_over(queries: int, percentile: float, confidence: float = CONFIDENCE) -> int | None:
    """Return how many of so many queries may be over the bound; None where even with none nothing is shown."""
    if not shown(queries, 0, percentile, confidence):
        return None
    least, most = 0, queries
    while most - least > 1:
        middle = (least + most) // 2
        least, most = (middle, most) if shown(queries, middle, percentile, confidence) else (least, middle)
    return least


def estimate(latencies_s: Sequence[float], percentile: float, confidence: float = CONFIDENCE) -> float | None:
    """An upper bound of the percentile: the t-th largest latency, t being the most that may be over it, at least one.

    None where the queries are too few. LoadGen's estimate of SingleStream and MultiStream.
    """
    over = most_over(len(latencies_s), percentile, confidence)
    return sorted(latencies_s)[len(latencies_s) - over] if over else None


def plain(latencies_s: Sequence[float], percentile: float) -> float | None:
    """The smallest latency that at least this share does not exceed (nearest rank); None of none."""
    if not latencies_s:
        return None
    ordered = sorted(latencies_s)
    return ordered[max(0, min(len(ordered) - 1, -int(-percentile * len(ordered) // 1) - 1))]
