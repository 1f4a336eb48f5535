import gc
from pathlib import Path

import msgspec
import pytest

from tests.conftest import ABOUT, make_record
from tests.storage.test_journals import OLD, old_line
from weighbridge.bench.analysis import summary
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.core.record import Noise
from weighbridge.bench.measure import sides
from weighbridge.bench.storage import coding, journals
from weighbridge.bench.storage.coding import UnreadableError


def test_a_summary_says_what_the_record_says() -> None:
    record = make_record(
        step_s=[float(s) for s in range(1, 13)], blocks=[[3, 3], [6]], noise=Noise(floor=0.04),
        environment={"machine": "m", "cpu": "x"}, device_peak_bytes=7,
    )  # fmt: skip
    found = summary.parse(coding.encoder.encode(record))
    assert found.processes == sides.blocks_of(record.timed) == [[2.0, 5.0], [9.5]]
    assert (found.step_s, found.floor, found.machine, found.device_peak_bytes) == (5.0, 0.04, "m", 7)
    assert (found.metric, found.score, found.higher_is_better) == ("r2", 0.5, True)
    assert found.facts == summary.Facts(
        threads=2, affinity=[0, 1], precision="float32", scope="model forward", batch_hash="b", host_allocator="kept"
    )
    assert (found.cell, found.status, found.started) == (record.cell, record.status, record.started)


def test_random_weights_and_failures_have_no_score() -> None:
    seeded = msgspec.structs.replace(ABOUT, weights="seeded")
    for record in (make_record(about=seeded), make_record(about=None), make_record(status="oom")):
        found = summary.parse(coding.encoder.encode(record))
    assert (found.metric, found.score) == ("", None)


@pytest.mark.parametrize("line", [b"", b"\n", b"null", b"[]", b'{"cell": 1}', b"\xff", b'{"status": NaN}'])
def test_what_is_no_record_is_none(line: bytes) -> None:
    with pytest.raises(UnreadableError):
        summary.parse(line)


def test_an_older_schema_is_migrated_and_a_later_one_refused() -> None:
    found = summary.parse(old_line())
    assert found.processes == [[0.01]]
    with pytest.raises(UnreadableError):
        summary.parse(coding.encoder.encode(make_record(schema=99)))


def test_the_published_run_of_schema_1_is_read_whole() -> None:
    (path,) = OLD
    run = summary.read(path)
    assert run.unreadable == []
    assert {cell.id for cell in run.cells} == {record.cell.id for record in journals.load(path)}


def test_the_last_record_of_a_cell_counts_and_torn_lines_are_counted(tmp_path: Path) -> None:
    path = tmp_path / journals.JOURNAL
    for step_s in (0.01, 0.02):
        journals.append(path, make_record(step_s=step_s))
    with path.open("ab") as file:
        file.write(b'{"cell": \n\n{"torn')
    run = summary.read(path)
    assert [each.step_s for each in run.cells.values()] == [0.02]
    assert len(run.unreadable) == 2


def test_an_empty_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / journals.JOURNAL
    path.write_bytes(b"\n")
    with pytest.raises(WeighbridgeError, match="no record that this version can read"):
        summary.read(path)


def test_the_collector_is_back_afterwards() -> None:
    with summary.no_collection():
        assert not gc.isenabled()
    assert gc.isenabled()
