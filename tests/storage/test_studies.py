"""Journals of before a scenario was part of every cell: what a line becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests import CLONE
from tests.conftest import make_cell, make_record
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.report.runs import rows_of
from weighbridge.bench.scenarios.serve.result import ServerResult, read
from weighbridge.bench.storage import journals, studies

LOAD = CLONE / "results/amd-epyc-2-core/20261123-085619-31c0337/load.jsonl"
CHURN = CLONE / "results/amd-epyc-2-core/20261123-141313-91d90dd/churn.jsonl"


def first(path: Path, **changes: Any) -> dict[str, Any]:
    return {**msgspec.json.decode(path.read_bytes().splitlines()[0]), **changes}


def test_a_line_of_a_load_is_a_record_a_scenario() -> None:
    told = first(LOAD)
    found = [msgspec.convert(each, journals.Record) for each in studies.of_load(told)]
    assert [record.cell.scenario for record in found] == ["single_stream", "multi_stream", "offline", "server"]
    assert {record.status for record in found} == {"ok"}
    assert found[0].step_s == told["single_stream"]["latencies_s"]
    assert found[3].cell.settings == (("bound_s", 0.5),)
    server = read(found[3].processes[0])
    assert isinstance(server, ServerResult)
    assert server.search.best is not None
    assert found[3].step_s == [1 / server.search.best.rate]


def test_an_audit_that_failed_takes_every_scenario_along() -> None:
    audit = {**first(LOAD)["audit"], "same_outputs": False}
    found = list(studies.of_load(first(LOAD, audit=audit)))
    assert {each["status"] for each in found} == {"implausible"}
    assert "TEST01" in found[0]["reason"]


def test_a_cell_that_failed_is_a_record_of_each() -> None:
    nothing = dict.fromkeys(("single_stream", "multi_stream", "offline", "server", "audit"))
    found = list(studies.of_load(first(LOAD, status="oom", reason="full", **nothing)))
    assert [each["status"] for each in found] == ["oom"] * 4
    assert all(msgspec.convert(each, journals.Record).processes == [] for each in found)


def test_only_what_was_asked_for_is_a_record() -> None:
    (only,) = studies.of_load(first(LOAD, single_stream=None, multi_stream=None, offline=None))
    assert only["cell"]["scenario"] == "server"


def test_a_line_of_a_churn_is_a_record_with_its_strategy_in_the_cell() -> None:
    found = studies.load(CHURN)
    assert len({record.cell for record in found}) == len(found) == len(CHURN.read_bytes().splitlines())
    exact = found[0]
    assert exact.cell.settings == (("batches", 20), ("strategy", "exact"))
    assert len(exact.step_s) == 3
    best = next(record for record in found if ("strategy", "best") in record.cell.settings)
    assert dict(best.cell.settings)["pad_rows"] is False


def test_a_folder_with_both_kinds_shows_both(tmp_path: Path) -> None:
    journals.append(tmp_path / journals.JOURNAL, make_record("torch"))
    (tmp_path / LOAD.name).write_bytes(LOAD.read_bytes())
    rows = rows_of([tmp_path], "torch").rows
    assert {row.record.cell.scenario for row in rows} == {"infer", *studies.KINDS}
    assert rows[0].record.cell == make_cell("torch")
    assert len(rows_of([tmp_path / LOAD.name], "torch").rows) == len(rows) - 1


@pytest.mark.parametrize("line", [b"{", b"{}", b"[1]", b'{"cell": 3, "status": "ok"}', b'{"cell": {}, "status": "ok"}'])
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "churn.jsonl"
    path.write_bytes(CHURN.read_bytes() + line + b"\n")
    with pytest.raises(WeighbridgeError, match=r"line .* cannot be read"):
        studies.load(path)


def test_a_run_is_not_resumed_where_only_older_journals_lie(tmp_path: Path) -> None:
    (tmp_path / LOAD.name).write_bytes(LOAD.read_bytes())
    with pytest.raises(WeighbridgeError, match=r"no records\.jsonl"):
        journals.existing(tmp_path)
