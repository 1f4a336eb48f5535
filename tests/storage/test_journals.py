import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_cell, make_record
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.core.errors import RecordLostError
from weighbridge.bench.core.record import SCHEMA, Record
from weighbridge.bench.storage import coding, journals, migrations


def write(path: Path, sizes: list[int]) -> None:
    for size in sizes:
        journals.append(path, make_record(cell=make_cell(batch_size=size)))


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / journals.JOURNAL
    write(path, [1, 2])
    records, damaged = journals.read(path)
    assert records == [make_record(cell=make_cell(batch_size=size)) for size in (1, 2)]
    assert not damaged


@given(cut=st.integers(1, 10_000))
def test_a_journal_cut_anywhere_loses_nothing_else(tmp_path_factory: pytest.TempPathFactory, cut: int) -> None:
    path = tmp_path_factory.mktemp("journal") / journals.JOURNAL
    write(path, [1, 2, 3])
    whole = path.read_bytes()
    kept = whole[: len(whole) - cut % len(whole)]
    path.write_bytes(kept)
    records, aside = journals.mend(path)
    lines = kept.split(b"\n")
    complete = [line for line in lines if coding.parse(line)]
    assert len(records) == len(complete)
    assert (aside is not None) == any(line and not coding.parse(line) for line in lines)
    write(path, [4])
    assert [record.cell.batch_size for record in journals.read(path)[0]] == [*range(1, len(complete) + 1), 4]
    assert not journals.read(path)[1]


def test_a_record_after_a_torn_line_is_whole(tmp_path: Path) -> None:
    path = tmp_path / journals.JOURNAL
    write(path, [1])
    with path.open("ab") as file:
        file.write(b'{"cell": {"tas')
    write(path, [2])
    records, damaged = journals.read(path)
    assert [record.cell.batch_size for record in records] == [1, 2]
    assert [each.line for each in damaged] == [b'{"cell": {"tas']


def test_a_full_disk_leaves_no_part_of_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / journals.JOURNAL
    write(path, [1])
    before, genuine = path.read_bytes(), os.write
    monkeypatch.setattr(journals.os, "write", lambda handle, line: genuine(handle, line[:40]))
    with pytest.raises(RecordLostError, match="disk full"):
        write(path, [2])
    assert path.read_bytes() == before


def test_a_damaged_line_in_the_middle_is_set_aside_whole(tmp_path: Path) -> None:
    path = tmp_path / journals.JOURNAL
    write(path, [1])
    with path.open("ab") as file:
        file.write(b'{"cell": \xff\xfe}\n')
    write(path, [2])
    records, aside = journals.mend(path)
    assert [record.cell.batch_size for record in records] == [1, 2]
    assert aside is not None
    assert aside.read_bytes() == b'{"cell": \xff\xfe}\n'


def test_a_retry_moves_the_old_record_aside(tmp_path: Path) -> None:
    path = tmp_path / journals.JOURNAL
    failed = make_record(status="crashed")
    journals.append(path, failed)
    journals.supersede(path, [failed])
    assert journals.read(path) == ([], [])
    assert coding.parse(path.with_suffix(".superseded").read_bytes().strip()) == failed


def test_a_folder_has_one_writer(tmp_path: Path) -> None:
    with (
        journals.writing(tmp_path),
        pytest.raises(WeighbridgeError, match="another run is writing"),
        journals.writing(tmp_path),
    ):
        pass


def test_a_newer_schema_is_not_guessed_at(tmp_path: Path) -> None:
    path = tmp_path / journals.JOURNAL
    journals.append(path, make_record(schema=99))
    assert len(journals.read(path)[1]) == 1


def test_loading_what_is_not_a_run_says_what_to_give(tmp_path: Path) -> None:
    with pytest.raises(WeighbridgeError, match="give a folder that"):
        journals.load(tmp_path)


OLD = sorted((Path(__file__).parents[2] / "results").glob("*/20261123-000729-7b24be5/records.jsonl"))


def flat(record: Record) -> dict[str, object]:
    """As schema 3 had it: of all processes together."""
    fields = msgspec.to_builtins(record)
    del fields["processes"]
    together = {name: getattr(record, name) for name in (*migrations.OF_THE_FIRST, *migrations.STEADY, *migrations.CUT)}
    return {**fields, **together, "schema": 3}


def old_line(**changes: object) -> bytes:
    fields = {**flat(make_record()), "schema": 1, "settled": False, **changes}
    for name in ("blocks", "pairing", "stopped_by", "noise"):
        fields.pop(name)
    return msgspec.json.encode(fields)


def test_a_record_of_schema_1_is_one_block_timed_apart() -> None:
    record = coding.parse(old_line())
    assert record is not None
    assert (record.schema, record.blocks, record.pairing, record.stopped_by) == (
        SCHEMA,
        [[10]],
        "sequential",
        "time cap",
    )


def test_a_record_of_schema_1_without_steps_has_no_blocks() -> None:
    record = coding.parse(old_line(step_s=[], settled=None, status="crashed"))
    assert record is not None
    assert (record.blocks, record.pairing, record.stopped_by) == ([], "", "")


@pytest.mark.parametrize("schema", [0, -1, 99, "1", None, [1]])
def test_a_schema_that_leads_nowhere_is_not_guessed_at(schema: object) -> None:
    assert coding.parse(old_line(schema=schema)) is None


def test_the_published_run_of_schema_1_is_read_whole() -> None:
    (path,) = OLD
    records, damaged = journals.read(path)
    assert not damaged
    assert len(records) == path.read_bytes().count(b"\n")
    assert {record.schema for record in records} == {SCHEMA}
    assert all(sum(map(sum, record.blocks)) == len(record.step_s) for record in records)


def test_reading_an_old_journal_leaves_it_as_it_is_and_a_retry_moves_its_record(tmp_path: Path) -> None:
    path = tmp_path / journals.JOURNAL
    path.write_bytes(old_line(status="crashed") + b"\n")
    records, _ = journals.mend(path)
    assert path.read_bytes() == old_line(status="crashed") + b"\n"
    journals.supersede(path, records)
    assert path.read_bytes() == b""
    assert coding.parse(path.with_suffix(".superseded").read_bytes().strip()) == records[0]


def test_a_record_of_schema_2_had_the_allocator_as_it_came() -> None:
    old = {**flat(make_record(facts={"threads": 2})), "schema": 2}
    found = coding.parse(msgspec.json.encode(old))
    assert found
    assert (found.schema, found.facts) == (SCHEMA, {"host_allocator": "as it comes", "threads": 2})
    untimed = coding.parse(msgspec.json.encode({**old, "status": "crashed", "step_s": [], "blocks": []}))
    assert untimed
    assert untimed.facts == {"threads": 2}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"warm_compile_s": 0.25, "warmup_s": [0.5, 0.4], "energy_j_per_step": 2.5, "host_import_bytes": 7},
        {"queued_step_s": [0.1] * 5, "queued_blocks": [2, 1, 2], "minor_faults": [[1.0], [2.0], [3.0]]},
        {"crowded": [[False] * 4, [True] * 3, [False] * 3], "device_peak_bytes": 9, "first_token_s": [0.1, 0.2]},
        {"blocks": [[1, 2], [3], [4]]},
        {"blocks": [[1, 2], [3]]},
        {"step_s": [], "blocks": [], "compile_s": None, "queued_step_s": [], "host_peak_bytes": None},
        {"step_s": [], "blocks": [], "queued_step_s": []},
    ],
)
def test_a_record_of_schema_3_says_of_all_processes_what_it_said(changes: dict[str, object]) -> None:
    old = flat(make_record(**changes))
    found = coding.parse(msgspec.json.encode(old))
    assert found is not None
    assert flat(found) == old
    assert found == make_record(**changes)


def test_peaks_that_were_of_all_processes_but_the_first_are_none_of_the_first() -> None:
    found = coding.parse(msgspec.json.encode(flat(make_record(device_peak_bytes=9))))
    assert found is not None
    assert [each.device_peak_bytes for each in found.processes] == [None, 9, None]


def test_steps_that_do_not_fill_their_blocks_still_do_not() -> None:
    for blocks in ([[1, 1]], [[4, 4], [4, 4]]):
        found = coding.parse(msgspec.json.encode({**flat(make_record()), "blocks": blocks}))
        assert found is not None
        assert (found.step_s, found.blocks) == (make_record().step_s, blocks)


def test_every_older_schema_leads_to_this_one() -> None:
    assert sorted(migrations.MIGRATIONS) == list(range(1, SCHEMA))
    assert isinstance(coding.parse(old_line()), Record)


def test_equal_environments_are_one_object_and_different_ones_stay_apart() -> None:
    lines = [coding.encoder.encode(make_record(environment={"machine": name})) for name in "aabab"]
    found = [record.environment for line in lines if (record := coding.parse(line))]
    assert [each["machine"] for each in found] == list("aabab")
    assert found[0] is found[1] is found[3]


def test_a_shared_field_of_the_wrong_type_spoils_its_own_line_only() -> None:
    whole = make_record(environment={"machine": "a"})
    line = coding.encoder.encode(whole)
    torn = line.replace(b'{"machine":"a"}', b"[1]")
    assert [coding.parse(each) for each in (line, torn, torn, line)] == [whole, None, None, whole]
