"""A study's records: a cell that fails in any way ends in one, and the others go on."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from backends.fake import COMPILE_S
from bench.core import Cell, WeighbridgeError, trial
from bench.core.effort import QUICK
from bench.core.trial import Trial
from bench.run import jobs
from bench.run.plan import Filters
from bench.run.study import Study
from bench.scenarios.base import Ask
from bench.scenarios.steps.requests import Block
from bench.storage import studies
from tests.conftest import Silent


class Steps(Trial, frozen=True, kw_only=True):
    """Seconds of three steps."""

    samples: list[float] = []


def three(cell: Cell, ask: Ask) -> dict[str, Any]:
    return {"samples": ask(Block(steps=3)).samples}


def trials(tmp_path: Path) -> list[Steps]:
    planned = jobs.prepare("fake", Filters(batch_sizes=[2, 4]))
    walk = Study(jobs.job(planned, 60.0, QUICK), tmp_path / "steps.jsonl", Silent())
    return list(walk.trials(planned.cells, Steps, three))


def test_a_trial_is_on_the_disk_with_parity_and_what_the_study_asked(tmp_path: Path) -> None:
    first, second = trials(tmp_path)
    assert (first.status, len(first.samples), first.cell.batch_size, second.cell.batch_size) == ("ok", 3, 2, 4)
    assert first.parity is not None
    assert first.parity.passed
    assert first.facts["weights_hash"]
    assert studies.load(tmp_path / "steps.jsonl", Steps) == [first, second]


@pytest.mark.parametrize(
    ("fault", "status"), [("oom", "oom"), ("raise", "crashed"), ("kill", "crashed"), ("wrong", "parity_failed")]
)
def test_a_failure_is_its_own_cells(tmp_path: Path, fault: str, status: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", f"{fault}@2")
    first, second = trials(tmp_path)
    assert (first.status, first.samples, second.status) == (status, [], "ok")
    assert first.reason


def test_lines_that_cannot_be_read_are_told_and_set_aside(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    found = trials(tmp_path)
    newer = msgspec.json.encode(msgspec.structs.replace(found[1], schema=trial.SCHEMA + 1))
    path.write_bytes(b'{"cell": 3}\n' + newer + b"\nnot json\n" + msgspec.json.encode(found[0]))
    with pytest.raises(WeighbridgeError, match="3 of its lines cannot be read"):
        studies.load(path, Steps)
    kept, aside = studies.mend(path, Steps)
    assert kept == found[:1] == studies.load(path, Steps)
    assert aside is not None
    assert aside.read_bytes() == b'{"cell": 3}\n' + newer + b"\nnot json\n"
    assert path.read_bytes().endswith(b"\n")


def asked_of(cold: bool, tmp_path: Path) -> Steps:
    planned = jobs.prepare("fake", Filters(batch_sizes=[2]))
    walk = Study(jobs.job(planned, 60.0, QUICK), tmp_path / "steps.jsonl", Silent(), cold=cold)
    (found,) = walk.trials(planned.cells, Steps, three)
    return found


def test_a_cold_study_meets_the_first_step_itself_and_shows_parity_all_the_same(tmp_path: Path) -> None:
    cold, warm = asked_of(True, tmp_path), asked_of(False, tmp_path)
    assert cold.samples[0] > COMPILE_S > warm.samples[0]
    assert cold.parity is not None
    assert cold.parity.passed
    assert (cold.first_s, warm.first_s is None) == (None, False)


def test_a_cold_study_keeps_no_figure_of_a_wrong_result(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "wrong@2")
    found = asked_of(True, tmp_path)
    assert (found.status, found.samples) == ("parity_failed", [])
