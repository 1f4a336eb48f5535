"""The tables of repeated runs, from made-up runs; and real runs of the fake backend."""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path

import pytest

from tests.conftest import make_cell, make_thrice
from tests.experiments import repeat
from tests.experiments.repeat import Request
from tests.experiments.tables import HEADINGS, Seen, markdown, read_as_verdict, repeated, row
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.core.record import Noise
from weighbridge.bench.measure import environment, noise
from weighbridge.bench.measure.statistics import Interval, Verdict
from weighbridge.bench.storage import journals, packages
from weighbridge.bench.storage.calibration import load

FACTS = {
    "threads": 2, "affinity": [0, 1], "precision": "float32", "scope": "forward", "weights_hash": "w",
    "batch_hash": "b", "host_allocator": "kept",
}  # fmt: skip


def seen(value: float, verdict: Verdict = "SAME", half: float = 0.01) -> Seen:
    return Seen(Interval(value, value - half, value + half), verdict)


def test_verdicts_that_oppose_each_other_are_counted_apart_from_the_mild_ones() -> None:
    words: list[Verdict] = ["FASTER", "FASTER", "SLOWER", "SLOWER", "SLOWER", "SAME", "UNSURE"]
    found = repeated([seen(1.0, word) for word in words])
    assert (found.opposed, found.beside) == (6, 5)
    assert repeated([seen(1.0, word) for word in ("FASTER", "FASTER", "UNSURE")]).opposed == 0


def test_an_interval_holds_the_median_of_all_or_does_not() -> None:
    runs = [seen(value) for value in (0.99, 1.0, 1.0, 1.005, 1.2)]
    found = repeated(runs)
    assert found.held == 0.8
    assert (found.smallest.value, found.largest.value) == (0.99, 1.2)


def test_the_spread_is_the_standard_deviation_of_the_ratio() -> None:
    assert repeated([seen(0.99), seen(1.01)]).spread == pytest.approx(0.02 / math.sqrt(2))
    assert math.isnan(repeated([seen(1.0)]).spread)


def test_the_six_runs_that_issue_13_saw_are_six_contradictions() -> None:
    six = [("FASTER", 1.22), ("SLOWER", 0.94), ("FASTER", 1.06), ("UNSURE", 0.98), ("SLOWER", 0.93), ("FASTER", 1.22)]
    found = repeated([seen(value, word) for word, value in six])  # type: ignore[arg-type]
    assert (found.opposed, found.beside, found.held) == (6, 0, 0.0)


def test_every_row_has_all_columns_and_a_pair_without_ratio_is_named() -> None:
    text = markdown(HEADINGS, [row("a / b", [seen(1.0)]), row("c / b", [])])
    assert {line.count("|") for line in text.splitlines()} == {len(HEADINGS) + 1}
    assert "| c / b | 0 |" in text


@pytest.mark.parametrize(("low", "high", "word"), [(1.01, 1.1, "FASTER"), (0.9, 0.99, "SLOWER"), (0.9, 1.1, "UNSURE")])
def test_a_reader_of_an_interval_sees_a_verdict(low: float, high: float, word: str) -> None:
    assert read_as_verdict(Interval(1.0, low, high)) == word


def write(home: Path, factors: list[float], **changes: object) -> None:
    """Runs in which the other backend's step is so many times 5 ms beside a reference of 10."""
    for index, factor in enumerate(factors, start=1):
        folder = home / f"{index:02}"
        folder.mkdir(parents=True)
        for backend, step_s in (("fake", 0.01), ("null", 0.005 * factor)):
            record = make_thrice(backend, step_s, facts=FACTS, **changes)
            journals.append(journals.journal(folder), record)


def given(*words: str) -> argparse.Namespace:
    return repeat.options().parse_args(words)


def test_a_folder_of_runs_is_read_and_held_against_itself(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [1.0, 1.01, 1.4])
    assert repeat.repeat(given("--read", str(tmp_path), "--compare")) == 0
    text = capsys.readouterr().out
    (line,) = (line for line in text.splitlines() if "null infer fp32 b8 cpu / fake" in line)
    assert line.startswith(
        "| tabular-regression[small] null infer fp32 b8 cpu / fake | 3 | 3 | 0 | 0 | 0 | 0 | 0 | 33% |"
    )
    assert "compare: 2 of 6 ordered pairs of runs fail." in text
    assert "2 times tabular-regression[small] null infer fp32 b8 cpu: speed" in text


def test_two_verdicts_that_contradict_each_other_are_exit_code_one(tmp_path: Path) -> None:
    write(tmp_path, [1.0, 3.0])
    assert repeat.repeat(given("--read", str(tmp_path))) == 1


def test_pairs_that_may_not_be_compared_say_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, [1.0, 1.0], parity=None)
    repeat.repeat(given("--read", str(tmp_path)))
    assert "no ratio in 2 of 2 runs: tabular-regression[small] null" in capsys.readouterr().out


def test_what_whole_runs_differ_by_is_kept_where_the_gate_finds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packages, "cache_folder", lambda: tmp_path / "cache")
    write(tmp_path / "runs", [1.0, 1.0, 1.0, 1.0, 1.2])
    repeat.agreed(tmp_path / "runs", Request(tier="standard", allocator="stock"))
    for folder in (tmp_path / "runs").glob("0*"):
        (folder / repeat.FINISHED).touch()
    repeat.repeat(given("--read", str(tmp_path / "runs"), "--keep"))
    calibration = load(tmp_path / "cache", "standard", "stock")
    assert noise.noise(calibration, make_cell("null"), []).between_runs == pytest.approx(0.2)
    assert noise.noise(calibration, make_cell("fake"), []).between_runs == 0
    spread = statistics.stdev([0.0] * 4 + [math.log(1.2)])
    assert noise.noise(calibration, make_cell("null"), []).ratio_spread == pytest.approx(spread, rel=0.05)
    assert noise.noise(calibration, make_cell("fake"), []).ratio_spread is None


def test_runs_of_another_machine_or_beside_a_load_are_not_kept(tmp_path: Path) -> None:
    write(tmp_path, [1.0] * 5, environment={"machine": f"not-{environment.machine_name()}"})
    with pytest.raises(WeighbridgeError, match="--keep is of runs of this machine"):
        repeat.repeat(given("--read", str(tmp_path), "--keep"))
    with pytest.raises(WeighbridgeError, match="without --load"):
        repeat.keep(tmp_path, Request(load=1))


def test_a_repetition_goes_on_where_it_was_cut_short(tmp_path: Path) -> None:
    """Real runs: the finished one stays as it is, the one that was cut short begins anew."""
    words = given("--suite", "fake", "--backends", "fake", "--runs", "2", "--out", str(tmp_path / "out"))
    home = tmp_path / "out"
    repeat.agreed(home, Request(suite="fake", backends="fake"))
    (home / "01").mkdir()
    (home / "01" / repeat.FINISHED).touch()
    journals.append(journals.journal(home / "01"), make_thrice("fake", noise=Noise()))
    (home / "02").mkdir()
    journals.journal(home / "02").write_bytes(b'{"torn')
    before = journals.journal(home / "01").read_bytes()
    assert repeat.repeat(words) == 0
    assert journals.journal(home / "01").read_bytes() == before
    assert {record.status for record in journals.load(home / "02")} == {"ok"}
    assert repeat.run_journals(home) == [journals.journal(home / name) for name in ("01", "02")]
    with pytest.raises(WeighbridgeError, match="runs of another request"):
        repeat.agreed(home, Request(suite="fake"))


def test_a_wrong_request_is_one_line_and_exit_code_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for words in (["--tasks", "semantic-serch"], ["--tier", "x"], ["--read", str(tmp_path / "nothing")]):
        monkeypatch.setattr("sys.argv", ["repeat", *words, "--out", str(tmp_path / "out")])
        assert repeat.main() == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1, said
        assert "Traceback" not in said
