"""A journal read by two processes gives the rows that one process gives."""

from pathlib import Path

import pytest

from bench.analysis import ratios, summary
from bench.core import WeighbridgeError
from bench.core.record import Noise, Record
from bench.report import csv, two_readers
from bench.run import alongside
from bench.storage.journals import encoder, lines, load
from tests.conftest import make_cell, make_record

NOISE = Noise(floor=0.01)
MACHINE = {"machine": "m", "versions": {"torch": "2"}}


def records() -> list[Record]:
    found = [
        make_record(
            backend, cell=make_cell(backend, task=f"task-{index}"), environment=MACHINE, noise=Noise(floor=0.01)
        )
        for index in range(40)
        for backend in ("torch", "flax")
    ]
    again = make_record("flax", 0.002, cell=make_cell("flax", task="task-0"), environment=MACHINE)
    return [*found, again]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    path = tmp_path / "records.jsonl"
    path.write_bytes(b"\n".join(encoder.encode(record) for record in records()))
    return path


@pytest.mark.parametrize("share", [0.0, 0.3, 0.497, 0.56, 1.0])
def test_parts_are_the_whole_wherever_it_is_cut(journal: Path, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_readers, "WORTH_BYTES", 0)
    monkeypatch.setattr(two_readers, "OURS", share)
    found, rows = two_readers.read(journal, "torch", "a run"), ratios.rows(load(journal), "torch", "a run")
    assert found.rows == rows
    assert csv.render(found.rows, found.lines) == csv.render(rows)
    assert any(found.lines) == (share < 1)


def test_every_line_belongs_to_one_part(journal: Path) -> None:
    whole, size = list(lines(journal)), journal.stat().st_size
    for cut in range(0, size, 97):
        assert [*lines(journal, 0, cut), *lines(journal, cut, size)] == whole


def test_the_second_journal_of_a_comparison_is_read_beside_the_first(
    journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "WORTH_BYTES", 0)
    before, after = summary.read_both(journal, journal)
    assert before.cells == after.cells == summary.read(journal).cells


def test_a_reading_process_that_fails_is_one_line(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    with alongside.alongside(summary.packed, missing, returns=object) as wait, pytest.raises(WeighbridgeError) as error:
        wait()
    assert str(error.value) == f"{missing} holds no record that this version can read"
    assert "\n" not in str(error.value)
