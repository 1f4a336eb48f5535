"""The floor from made-up pairs, and a real pair of programs of which one works more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.work import MORE_VARIABLE
from bench import application, calibrate, cli, data, noise
from bench.application import Planned
from bench.calibrate import LOWEST_FLOOR, Pair
from bench.core import WeighbridgeError
from bench.group import NOTHING_MORE
from bench.plan import Filters
from bench.pytest_plugin import Quiet
from bench.stats import Interval
from bench.tier import QUICK
from tests.conftest import make_cell


def pair(low: float, high: float) -> Pair:
    return Pair(cell=make_cell(), ratio=Interval((low + high) / 2, low, high), turns=10, floor=0.02, cpus_elsewhere=0.1)


intervals = st.tuples(st.floats(0.5, 1.5), st.floats(0, 0.3)).map(
    lambda t: Interval(t[0] + t[1] / 2, t[0], t[0] + t[1])
)


@given(intervals)
def test_the_distance_is_zero_exactly_where_the_interval_holds_one(ratio: Interval) -> None:
    assert (calibrate.distance(ratio) == 0) is (ratio.low <= 1 <= ratio.high)


@pytest.mark.parametrize(("low", "high", "distance"), [(1.03, 1.2, 0.03), (0.8, 0.96, 1 / 0.96 - 1), (0.9, 1.1, 0)])
def test_the_distance_is_how_far_one_lies_outside(low: float, high: float, distance: float) -> None:
    assert calibrate.distance(Interval(1.0, low, high)) == pytest.approx(distance)


def test_the_floor_holds_back_nineteen_pairs_in_twenty() -> None:
    ratios = [Interval(1 + i / 100, 1 + i / 100, 1.5) for i in range(100)]
    floor = calibrate.floor_of(ratios)
    assert floor == pytest.approx(0.95)  # the 96th smallest, 0.95 * 101 rounded up
    assert sum(calibrate.distance(ratio) > floor for ratio in ratios) == 4


def test_of_few_pairs_the_largest_distance_is_taken() -> None:
    assert calibrate.floor_of([Interval(1.0, 0.9, 1.1)] * 11 + [Interval(1.1, 1.07, 1.2)]) == pytest.approx(0.07)


def test_no_machine_is_quieter_than_twenty_pairs_can_show() -> None:
    assert calibrate.floor_of([Interval(1.0, 0.99, 1.01)] * 20) == LOWEST_FLOOR


def test_no_pair_vouches_for_itself() -> None:
    """The one odd pair sets the floor that would excuse it; without it, it is a false verdict."""
    pairs = [pair(0.99, 1.01)] * 9 + [pair(1.2, 1.3)]
    assert calibrate.false_verdicts(pairs) == pytest.approx(0.1)
    assert calibrate.false_verdicts([pair(0.99, 1.01)] * 10) == 0


@pytest.mark.parametrize(("more", "words"), [(0.4, {"SLOWER"}), (0.0, {"SAME", "UNSURE"})])
def test_real_work_on_the_real_clock(more: float, words: set[str]) -> None:
    planned = Planned(cells=[make_cell("work")], reference="work")
    changed = {MORE_VARIABLE: str(more)} if more else NOTHING_MORE
    (found,) = calibrate.compare_programs(planned, 1, QUICK, Quiet(), changed=changed)
    assert found.verdict(0.1) in words
    assert found.turns >= QUICK.fewest_turns


def test_a_calibration_is_saved_where_a_run_finds_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(data, "cache_folder", lambda: folder)
    found = calibrate.calibrate([pair(0.99, 1.01)] * 5 + [pair(1.04, 1.06)] * 5, QUICK)
    assert found.floor == pytest.approx(0.04)
    assert noise.load(folder, "quick") == found
    assert noise.load(folder, "strict") is None
    job = application.job(Planned(cells=[make_cell()], reference="fake"), 60.0)
    assert job.calibration == found


def test_a_pair_that_fails_ends_the_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "raise")
    planned = application.prepare("fake", Filters(batch_sizes=[1]))
    with pytest.raises(WeighbridgeError, match="crashed, RuntimeError: fake fault"):
        calibrate.compare_programs(planned, 1, QUICK, Quiet())


def test_a_request_without_the_reference_is_refused() -> None:
    with pytest.raises(WeighbridgeError, match="leave out a filter"):
        calibrate.compare_programs(Planned(cells=[make_cell("null")], reference="fake"), 1, QUICK, Quiet())


@pytest.mark.parametrize("words", [["--pairs", "2"], ["--tier", "strictt"], ["--tasks", "nothing"]])
def test_a_wrong_request_is_one_line_and_exit_code_two(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["weighbridge", "calibrate", *words])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "Traceback" not in capsys.readouterr().err
