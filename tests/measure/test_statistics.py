"""Intervals cover what they should, verdicts keep to the floor, and pairing is by block."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.bench.measure import statistics
from weighbridge.bench.measure.statistics import Interval

positive = st.floats(1e-6, 1e3)
processes = st.lists(st.lists(positive, min_size=1, max_size=12), min_size=1, max_size=4)


@given(value=positive, half=st.floats(0, 1), spread=st.floats(0, 1))
def test_an_interval_is_no_narrower_than_whole_runs_differ(value: float, half: float, spread: float) -> None:
    found = statistics.no_narrower(Interval(value, value * math.exp(-half), value * math.exp(half)), spread)
    widest = max(half, 1.96 * spread)
    assert found.value == value
    assert math.log(found.high / value) == pytest.approx(widest, abs=1e-9)
    assert math.log(value / found.low) == pytest.approx(widest, abs=1e-9)


@given(st.lists(positive, min_size=1, max_size=50))
def test_the_median_is_numpys(samples: list[float]) -> None:
    assert statistics.median(samples) == pytest.approx(float(np.median(samples)))


def test_the_median_of_nothing_is_nan() -> None:
    assert math.isnan(statistics.median([]))


def test_the_error_of_a_median_shrinks_with_samples_and_is_infinite_under_six() -> None:
    rng = np.random.default_rng(0)
    samples = rng.normal(1.0, 0.05, 400)
    assert statistics.relative_error_of_median(list(samples[:5])) == math.inf
    assert statistics.relative_error_of_median(list(samples[:20])) > statistics.relative_error_of_median(list(samples))


def test_settled_needs_ten_samples_that_agree() -> None:
    assert not statistics.has_settled([1.0] * 9, 0.02)
    assert statistics.has_settled([1.0] * 10, 0.02)
    assert not statistics.has_settled([1.0, 2.0] * 5, 0.02)


def test_warm_when_steps_no_longer_get_faster() -> None:
    assert not statistics.is_warm([3.0, 2.0, 1.0])
    assert not statistics.is_warm([9.0, 8.0, 7.0, 3.0, 2.0, 1.0])
    assert statistics.is_warm([9.0, 1.0, 1.0, 1.0, 1.0, 1.0])


@given(st.lists(positive, min_size=1, max_size=12))
def test_an_interval_of_one_process_holds_its_median_and_stays_within_what_was_seen(values: list[float]) -> None:
    found = statistics.interval([values])
    assert min(values) <= found.low <= found.high <= max(values)
    assert found.value == pytest.approx(float(np.median(values)))


@given(processes)
def test_an_interval_of_processes_lies_around_the_geometric_mean_of_their_medians(values: list[list[float]]) -> None:
    found = statistics.interval(values)
    assert found.low <= found.value * (1 + 1e-9)
    assert found.value <= found.high * (1 + 1e-9)
    if len(values) > 1:
        medians = [float(np.median(process)) for process in values]
        assert found.value == pytest.approx(float(np.exp(np.mean(np.log(medians)))))
        assert found.low * found.high == pytest.approx(found.value**2)


@pytest.mark.parametrize("freedom", [1, 2, 4, 8, 20])
def test_students_distribution_is_scipys(freedom: int) -> None:
    from scipy.special import stdtrit

    assert statistics.students_t(freedom) == pytest.approx(stdtrit(freedom, 0.975), abs=6e-4)
    assert statistics.students_t(99) == statistics.students_t(20)


@pytest.mark.parametrize("count", [3, 5])
def test_intervals_of_a_few_processes_cover_nineteen_times_in_twenty(count: int) -> None:
    """Processes that differ by 2 %, blocks by 1 % within them: a bootstrap of three covers the truth in 75 %."""
    rng = np.random.default_rng(3)

    def drawn() -> statistics.Interval:
        return statistics.interval([list(rng.normal(rng.normal(1, 0.02), 0.01, 4)) for _ in range(count)])

    covered = [found.low <= 1 <= found.high for found in (drawn() for _ in range(1000))]
    assert 0.93 <= np.mean(covered) <= 0.98


def test_processes_that_happen_to_agree_do_not_hide_what_their_blocks_leave_open() -> None:
    found = statistics.interval([[0.9, 1.0, 1.1]] * 3)
    assert found.relative_error > 0.05


@given(processes, positive)
def test_an_interval_scales_with_its_unit(values: list[list[float]], unit: float) -> None:
    found, scaled = statistics.interval(values), statistics.interval([[value * unit for value in p] for p in values])
    assert (scaled.low, scaled.high) == pytest.approx((found.low * unit, found.high * unit))


@pytest.mark.parametrize("n", [7, 10, 15, 30])
def test_the_closed_form_is_the_bootstrap(n: int) -> None:
    """Against 20,000 drawn resamples of the lower median, within a rank."""
    rng = np.random.default_rng(1)
    drawn = np.sort(rng.integers(n, size=(20_000, n)), axis=1)[:, math.ceil(n / 2) - 1]
    low, high = statistics._ranks(n)
    assert abs(low - np.quantile(drawn, 0.025)) <= 1
    assert low + high == n - 1


@pytest.mark.parametrize("n", [10, 20])
def test_intervals_of_one_process_cover_nineteen_times_in_twenty(n: int) -> None:
    rng = np.random.default_rng(2)
    covered = [
        found.low <= 1 <= found.high for found in (statistics.interval([rng.normal(1, 0.1, n)]) for _ in range(800))
    ]
    assert np.mean(covered) >= 0.93


def test_processes_that_differ_widen_the_interval() -> None:
    """A shift between processes is noise of its own, however well each knows itself (rule 5)."""
    tight = [[1.0, 1.001, 0.999] * 5] * 3
    shifted = [[value + shift for value in tight[0]] for shift in (0.0, 0.05, -0.05)]
    assert statistics.interval(tight).relative_error < 0.002
    assert statistics.interval(shifted).low < 0.96
    assert statistics.interval(shifted).high > 1.04


def test_what_is_not_finite_tells_nothing() -> None:
    assert math.isnan(statistics.interval([[1.0, math.nan]]).value)
    assert math.isnan(statistics.interval([]).value)
    assert statistics.verdict(statistics.interval([[math.inf] * 9]), 0.01, True) == "UNSURE"


def test_blocks_are_cut_in_order_and_must_add_up() -> None:
    assert statistics.block_medians([1, 2, 3, 10, 20, 5], [3, 2, 1]) == [2, 15, 5]
    with pytest.raises(ValueError, match="blocks hold 2 samples, there are 3"):
        statistics.block_medians([1, 2, 3], [2])


def test_pairs_are_of_the_same_turn() -> None:
    """A machine that slows down for both in a turn leaves the ratio alone."""
    mood = [1.0, 1.3, 0.9, 2.0, 1.1]
    ratios = statistics.paired_ratios([[2 * m for m in mood]], [mood])
    assert ratios[0] == pytest.approx([2.0] * 5)
    assert statistics.paired_ratios([[1.0, 2.0]], [[1.0]]) == [[1.0]]


def test_an_unpaired_ratio_adds_both_errors() -> None:
    one = Interval(1.0, 0.9, 1.1)
    both = statistics.unpaired_ratio(one, one)
    assert both.value == 1
    assert both.low < 0.9
    assert both.high > 1.1
    exact = Interval(1.0, 1.0, 1.0)
    assert statistics.unpaired_ratio(Interval(2.0, 1.8, 2.2), exact).low == pytest.approx(1.8)
    assert math.isnan(statistics.unpaired_ratio(statistics.NOTHING, one).value)


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (1.03, 1.5, "FASTER"),
        (1.01, 1.5, "UNSURE"),
        (0.99, 1.01, "SAME"),
        (0.9, 1.1, "UNSURE"),
        (0.5, 0.97, "SLOWER"),
        (0.5, 0.99, "UNSURE"),
    ],
)
def test_a_verdict_needs_the_whole_interval(low: float, high: float, word: str) -> None:
    assert statistics.verdict(Interval((low + high) / 2, low, high), 0.02, True) == word


@pytest.mark.parametrize(
    ("blocks", "enough"), [([9], False), ([9, 9], False), ([1, 1, 1], False), ([2, 2, 1], True), ([3, 3, 3, 0], True)]
)
def test_a_verdict_wants_three_processes_and_five_blocks(blocks: list[int], enough: bool) -> None:
    assert statistics.enough([[1.0] * count for count in blocks]) is enough
    assert statistics.verdict(Interval(2.0, 1.9, 2.1), 0.02, enough) == ("FASTER" if enough else "UNSURE")


@pytest.mark.parametrize(
    ("value", "word"), [(1.03, "FASTER"), (0.97, "SLOWER"), (1.01, ""), (0.99, ""), (math.nan, "")]
)
def test_a_lean_is_where_the_value_lies(value: float, word: str) -> None:
    assert statistics.lean(Interval(value, 0.5, 2.0), 0.02) == word


def test_what_is_left_out_keeps_its_turn() -> None:
    """Blocks stay paired by turn; what is left out on either side is no pair."""
    marked = statistics.without([[1.0, 2.0, 3.0], [4.0]], [[False, True]])
    assert marked[0][::2] == [1.0, 3.0]
    assert math.isnan(marked[0][1])
    assert statistics.paired_ratios(marked, [[1.0, 1.0, 1.0], [2.0]]) == [[1.0, 3.0], [2.0]]
    assert statistics.known(marked) == [[1.0, 3.0], [4.0]]


def test_break_even() -> None:
    assert statistics.break_even_calls(10.0, 0.1) == pytest.approx(100)
    assert statistics.break_even_calls(-1.0, 0.1) == 0
    assert statistics.break_even_calls(10.0, 0.0) is None


@pytest.mark.parametrize("n", [1, 2, 5, 6, 7, 100, statistics.LARGE_N, statistics.LARGE_N + 1])
def test_the_binomial_tail_is_scipys(n: int) -> None:
    from scipy.special import bdtrc

    successes = math.ceil(n / 2)
    assert statistics.at_least(successes, n) == pytest.approx(
        bdtrc(successes - 1, n, np.arange(1, n + 1) / n), abs=1e-10
    )
