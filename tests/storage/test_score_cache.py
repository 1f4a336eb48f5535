from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests import nouns
from tests.conftest import make_cell
from weighbridge.bench.core import Cell
from weighbridge.bench.measure import environment
from weighbridge.bench.scenarios.steps.requests import Scored
from weighbridge.bench.storage import score_cache

TASK = nouns.task("tabular-regression")


class Measured:
    """Counts how often a score was measured."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, float]:
        self.times += 1
        return {"r2": 0.5 + self.times}


@pytest.fixture
def measure() -> Measured:
    return Measured()


def ask(folder: Path, measure: Measured, cell: Cell | None = None) -> Scored:
    return score_cache.remembered(cell or make_cell(), TASK, nouns.backend("fake"), folder, measure)


def test_a_score_is_measured_once(tmp_path: Path, measure: Measured) -> None:
    first = ask(tmp_path, measure)
    assert ask(tmp_path, measure) == first
    assert first.score == {"r2": 1.5}
    assert first.measured.endswith("+00:00")
    assert measure.times == 1
    assert sorted(path.suffix for path in (tmp_path / "scores").iterdir()) == [".json", ".sha256"]


def test_a_score_that_was_edited_is_named_and_measured_anew(tmp_path: Path, measure: Measured) -> None:
    ask(tmp_path, measure)
    (path,) = (tmp_path / "scores").glob("*.json")
    path.write_bytes(path.read_bytes().replace(b"1.5", b"9.5"))
    again = ask(tmp_path, measure)
    assert (again.score, again.moved_aside) == ({"r2": 2.5}, [f"{path}.damaged"])
    assert ask(tmp_path, measure) == msgspec.structs.replace(again, moved_aside=[])


@pytest.mark.parametrize(
    "changes", [{"batch_size": 9}, {"precision": "bf16"}, {"backend": "null"}, {"device": "cuda"}, {"seed": 1}]
)
def test_another_cell_has_a_score_of_its_own(tmp_path: Path, measure: Measured, changes: dict[str, object]) -> None:
    ask(tmp_path, measure)
    ask(tmp_path, measure, make_cell(**changes))  # type: ignore[arg-type]
    assert measure.times == 2


def test_other_code_is_scored_again(tmp_path: Path, measure: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(tmp_path, measure)
    monkeypatch.setattr(environment, "source_hash", lambda *files: "changed")
    ask(tmp_path, measure)
    assert measure.times == 2


def test_only_code_that_computes_decides(tmp_path: Path, measure: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Path] = []
    genuine = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: read.append(path) or genuine(path))
    environment.source_hash.cache_clear()
    ask(tmp_path, measure)
    names = {path.name for path in read}
    assert {"metrics.py", "worker.py", "tabular_regression.py", "fake.py", "torch_eager.py"} <= names
    assert not {"markdown.py", "semantic_search.py", "gate.py", "cli.py"} & names


def test_other_threads_are_scored_again(tmp_path: Path, measure: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    for count in ("1", "2", "1"):
        monkeypatch.setenv("OMP_NUM_THREADS", count)
        ask(tmp_path, measure)
    assert measure.times == 2


def test_other_versions_are_scored_again(tmp_path: Path, measure: Measured, monkeypatch: pytest.MonkeyPatch) -> None:
    ask(tmp_path, measure)
    monkeypatch.setattr(environment, "version", lambda package: "0.0.0")
    ask(tmp_path, measure)
    assert measure.times == 2


def test_other_weights_are_in_another_folder(tmp_path: Path, measure: Measured) -> None:
    ask(tmp_path / "one", measure)
    ask(tmp_path / "two", measure)
    assert measure.times == 2


def test_a_measurement_that_fails_is_not_remembered(tmp_path: Path, measure: Measured) -> None:
    def fail() -> dict[str, float]:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        score_cache.remembered(make_cell(), TASK, nouns.backend("fake"), tmp_path, fail)
    assert ask(tmp_path, measure).score == {"r2": 1.5}
