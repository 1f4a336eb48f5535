"""Plots as data: what they draw, and the words that say the same."""

import math

from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_cell, make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.core.record import Record
from weighbridge.bench.report.plots import bars, timing, trade


def rows(*records: Record) -> list[Row]:
    return ratios.rows(records, "torch")


def test_the_front_holds_what_nothing_beats() -> None:
    assert trade.front([(1, 5), (2, 4), (2, 3), (0, 9), (2, 4)]) == {0, 1, 3}


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1))
def test_whatever_is_off_the_front_is_beaten_or_equalled_by_it(points: list[tuple[int, int]]) -> None:
    front = trade.front(points)
    assert front
    for index, (x, y) in enumerate(points):
        covered = any(points[best][0] >= x and points[best][1] >= y for best in front)
        assert covered or index in front


def test_latency_is_the_distribution_of_raw_samples() -> None:
    steps = [0.001 * n for n in range(1, 101)]
    (plot,) = timing.latency(rows(make_record("torch", steps)))
    (series,) = plot.series
    assert series.y[50] == 50.0
    assert math.isclose(series.x[50], 50.5)
    assert "median 50.5 ms" in plot.text


def test_throughput_is_drawn_only_against_several_batch_sizes() -> None:
    one = [make_record("torch", cell=make_cell("torch", batch_size=8))]
    two = [*one, make_record("torch", cell=make_cell("torch", batch_size=16), items_per_step=16)]
    assert timing.batches(rows(*one)) == []
    (plot,) = timing.batches(rows(*two))
    assert plot.series[0].x == [8.0, 16.0]
    assert "batch 16" in plot.text


def test_lines_cross_where_compilation_is_repaid() -> None:
    found = rows(make_record("torch", 0.02, compile_s=0.02), make_record("flax", 0.01, compile_s=1.01))
    (plot,) = timing.repaid(found)
    torch, flax = plot.series[0], plot.series[1]
    ahead = [b < a for a, b in zip(torch.y, flax.y, strict=True) if a is not None and b is not None]
    first = next(x for x, faster in zip(torch.x, ahead, strict=True) if faster)
    assert 99 < first < 150
    assert "flax after 99 calls" in plot.text


def test_what_is_slower_is_repaid_never_and_not_after_never() -> None:
    (plot,) = timing.repaid(rows(make_record("torch", 0.01, compile_s=0.02), make_record("flax", 0.02, compile_s=1.01)))
    assert "flax never" in plot.text


def test_a_score_that_is_no_number_and_memory_that_is_unknown_are_left_out() -> None:
    found = rows(make_record("torch"), make_record("flax", score={"r2": None}, host_peak_bytes=None))
    memory, score = trade.pareto(found)
    assert [series.backend for series in memory.series] == ["torch"]
    assert [series.backend for series in score.series] == ["torch"]


def test_history_needs_two_runs() -> None:
    old = make_record("torch", 0.02, started="2026-11-21T00:00:00+00:00")
    found = [*ratios.rows([old], "torch", "a"), *ratios.rows([make_record("torch", 0.01)], "torch", "b")]
    (plot,) = timing.over_time(found)
    assert plot.series[0].y == [20.0, 10.0]
    assert timing.over_time(rows(make_record("torch"))) == []


def test_bars_are_shares_of_the_largest_and_of_the_limit() -> None:
    memory, parity = bars.charts(
        rows(make_record("torch", host_peak_bytes=100), make_record("flax", host_peak_bytes=25))
    )
    assert [line.bars[0].share for line in memory.lines] == [1.0, 0.25]
    assert memory.lines[0].bars[2] == bars.Bar(text="n/a", share=None)
    assert [line.bars[0].share for line in parity.lines] == [0.5, 0.5]
