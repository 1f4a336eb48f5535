"""Made-up series: a clean step is found at its run, and noise alone gives none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import make_record
from weighbridge.bench.analysis import history
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.storage import journals


def series(levels: list[float], spread: float, seed: int) -> list[float]:
    return (0.01 * np.array(levels) * np.exp(np.random.default_rng(seed).normal(0, spread, len(levels)))).tolist()


def found(step_s: list[float], floor: float = 0.02) -> list[history.Step]:
    return history.steps([f"run-{index}" for index in range(len(step_s))], step_s, floor)


@pytest.mark.parametrize("at", [2, 5, 8])
@pytest.mark.parametrize(("ratio", "word"), [(1.2, "slower"), (1 / 1.2, "faster")])
def test_a_clean_step_is_found_at_its_run(at: int, ratio: float, word: str) -> None:
    for seed in range(20):
        (step,) = found(series([1.0] * at + [ratio] * (10 - at), 0.01, seed))
        assert step.run == f"run-{at}"
        assert step.time_ratio == pytest.approx(ratio, rel=0.03)
        assert history.words(step).endswith(f"% {word} from here")


def test_two_steps_are_two() -> None:
    steps = found(series([1.0] * 5 + [1.3] * 5 + [1.0] * 5, 0.01, seed=3))
    assert [step.run for step in steps] == ["run-5", "run-10"]


@pytest.mark.parametrize("spread", [0.005, 0.02, 0.1])
@pytest.mark.parametrize("runs", [4, 6, 10, 30])
def test_noise_alone_gives_no_step(spread: float, runs: int) -> None:
    false = sum(bool(found(series([1.0] * runs, spread, seed))) for seed in range(200))
    assert false <= 10, f"{false} of 200"


def test_one_odd_run_is_no_step() -> None:
    assert found([0.01, 0.01, 0.01, 0.02, 0.01, 0.01, 0.01, 0.01]) == []


def test_three_runs_are_too_few() -> None:
    assert found([0.01, 0.02, 0.02]) == []


def test_a_step_within_the_noise_floor_is_none() -> None:
    assert found([0.01] * 6 + [0.0103] * 6, floor=0.05) == []
    assert len(found([0.01] * 6 + [0.0103] * 6, floor=0.005)) == 1


def write(results: Path, levels: list[float]) -> None:
    for index, level in enumerate(levels):
        folder = results / "m" / f"z{9 - index}"  # the order of names is not that of time
        folder.mkdir(parents=True)
        started = f"2026-11-{index + 1:02}T00:00:00+00:00"
        journals.append(journals.journal(folder), make_record(step_s=level, started=started))
        journals.append(journals.journal(folder), make_record("dead", status="crashed", started=started))


def test_runs_are_read_in_the_order_they_were_started(tmp_path: Path) -> None:
    write(tmp_path, [0.01, 0.01, 0.01, 0.0112, 0.0112, 0.0112])
    (tmp_path / "m" / "torn").mkdir()
    journals.journal(tmp_path / "m" / "torn").write_bytes(b'{"cell"')
    (only,) = history.of(tmp_path, "m")
    assert only.runs == ["z9", "z8", "z7", "z6", "z5", "z4"]
    assert [history.words(step) for step in only.steps] == ["run z6: 12 % slower from here"]


def test_few_runs_say_how_many_are_needed(tmp_path: Path) -> None:
    write(tmp_path, [0.01])
    (only,) = history.of(tmp_path, "m")
    assert "4 runs" in only.note


def test_an_unknown_machine_is_told_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path, [0.01])
    with pytest.raises(WeighbridgeError, match="choose --machine from m"):
        history.of(tmp_path, "n")
    with pytest.raises(WeighbridgeError, match="weighbridge run"):
        history.of(tmp_path / "nowhere", "n")
