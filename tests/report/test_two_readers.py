"""A journal read by two processes gives the rows that one process gives."""

from pathlib import Path

import msgspec
import pytest

from tests import bench_compare
from tests.conftest import make_cell, make_record
from weighbridge.bench.analysis import ratios, summary
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.core.process import Process
from weighbridge.bench.core.record import Noise, Record
from weighbridge.bench.report import csv, two_readers
from weighbridge.bench.run import alongside
from weighbridge.bench.storage.coding import encoder
from weighbridge.bench.storage.journals import load
from weighbridge.bench.storage.lines import read as lines

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


@pytest.mark.parametrize("share", [0.0, 0.3, 0.497, 0.56, 1.0])
def test_brief_rows_have_every_figure_and_get_their_samples_back(
    journal: Path, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(two_readers, "WORTH_BYTES", 0)
    monkeypatch.setattr(two_readers, "OURS", share)
    found, rows = two_readers.read(journal, "torch", brief=True), ratios.rows(load(journal), "torch")
    assert not any(row.record.step_s for row in found.rows)
    assert any(found.lines)
    assert csv.render(found.rows, found.lines) == csv.render(rows)
    assert [*map(two_readers.whole, found.rows)] == rows


def test_what_only_a_scenario_knows_stays_in_a_brief_record() -> None:
    record = make_record()
    told = msgspec.structs.replace(record, processes=[Process(step_s=[1.0], blocks=[1], result={"type": "x"})])
    assert record.step_s
    assert not record.brief.step_s
    assert told.brief == told


def test_a_journal_that_was_rewritten_meanwhile_is_one_line(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(two_readers, "WORTH_BYTES", 0)
    row = two_readers.read(journal, "torch", brief=True).rows[1]
    journal.write_bytes(b"\n".join(reversed(list(lines(journal)))))
    with pytest.raises(WeighbridgeError, match="was rewritten while it was read"):
        two_readers.whole(row)


@pytest.mark.parametrize(("command", "journals"), [("compare", 2), ("report", 1)])
def test_growth_is_measured_of_the_command_itself(command: str, journals: int, journal: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.jsonl"
    copy.write_bytes(journal.read_bytes())
    seconds, peak_mib, code = bench_compare.measured(command, *[journal, copy][:journals])
    assert (seconds > 0, peak_mib > 20, code) == (True, True, 0)


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
