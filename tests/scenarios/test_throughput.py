"""Queued blocks of the turns: a rate with an interval, and a verdict of its own."""

import pytest

from tests.conftest import make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.analysis.row import Row

IN_TURNS = {"blocks": [[1] * 4] * 3, "queued_blocks": [4] * 3}


def queued(ours_s: list[float], **changes: object) -> Row:
    records = [
        make_record("torch", [0.02] * 12, queued_step_s=[0.01] * 12, **IN_TURNS),
        make_record("flax", [0.02] * 12, queued_step_s=ours_s, **{**IN_TURNS, **changes}),
    ]
    return ratios.rows(records, "torch")[1]


def test_throughput_of_turns_has_intervals_and_a_verdict_of_its_own() -> None:
    row = queued([0.005] * 12)
    assert (row.verdict, row.rate_verdict) == ("SAME", "FASTER")
    assert (row.rate, row.rate_ratio) == (pytest.approx(1600.0), pytest.approx(2.0))
    assert row.rate_interval and row.rate_ratio_interval
    assert row.rate_interval.low <= 1600.0001
    assert queued([0.004] * 4 + [0.01] * 4 + [0.012] * 4).rate_verdict == "UNSURE"


@pytest.mark.parametrize("changes", [{"queued_blocks": []}, {"queued_blocks": [4, 4, 3]}])
def test_queued_blocks_of_no_known_process_have_a_rate_and_no_interval(changes: dict[str, object]) -> None:
    row = queued([0.005] * 12, **changes)
    assert row.rate == pytest.approx(1600.0)
    assert (row.rate_interval, row.rate_ratio, row.rate_verdict) == (None, None, None)


def test_a_rate_is_of_quiet_turns_and_marked_where_there_are_none() -> None:
    steps = [0.005, 0.005, 0.005, 0.5] * 3
    some = queued(steps, crowded=[[False, False, False, True]] * 3)
    assert (some.rate, some.rate_crowded) == (pytest.approx(1600.0), False)
    assert some.rate_verdict == "FASTER"
    assert queued(steps, crowded=[[True] * 4] * 3).rate_crowded
