"""Early stopping: the counts that MLPerf publishes, and the definition."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from weighbridge.bench.scenarios.serve.stopping import estimate, fewest_queries, most_over, plain, shown

PERCENTILES = st.sampled_from([0.5, 0.9, 0.95, 0.99])


@pytest.mark.parametrize(("over", "percentile", "count"), [(1, 0.90, 64), (0, 0.99, 459), (1, 0.99, 662)])
def test_the_counts_that_loadgen_is_known_for(over: int, percentile: float, count: int) -> None:
    assert fewest_queries(over, percentile) == count


@given(over=st.integers(0, 60), percentile=PERCENTILES)
def test_fewest_is_the_first_that_shows(over: int, percentile: float) -> None:
    count = fewest_queries(over, percentile)
    assert binom.cdf(over, count, 1 - percentile) <= 0.01 < binom.cdf(over, count - 1, 1 - percentile)


@given(queries=st.integers(1, 5000), percentile=PERCENTILES)
def test_most_over_is_the_last_that_shows(queries: int, percentile: float) -> None:
    most = most_over(queries, percentile)
    if most is None:
        assert not shown(queries, 0, percentile)
    else:
        assert shown(queries, most, percentile)
        assert not shown(queries, most + 1, percentile)


def test_an_estimate_is_an_upper_bound_that_needs_queries() -> None:
    latencies = [float(index) for index in range(64)]
    assert estimate(latencies[:-1], 0.9) is None
    assert estimate(latencies, 0.9) == 63.0
    assert estimate([float(index) for index in range(10_000)], 0.9) == pytest.approx(9_070, abs=5)


@given(st.lists(st.floats(0, 1e3), min_size=1), st.floats(0.01, 1.0))
def test_the_plain_percentile_is_the_smallest_that_the_share_does_not_exceed(found: list[float], p: float) -> None:
    value = plain(found, p)
    assert value is not None
    assert sum(each <= value for each in found) >= p * len(found) - 1e-6
    assert sum(each < value for each in found) < p * len(found) + 1e-6


def test_a_percentile_among_rejected_queries_is_infinite() -> None:
    assert plain([0.1] * 90 + [math.inf] * 10, 0.99) == math.inf
    assert plain([], 0.5) is None
