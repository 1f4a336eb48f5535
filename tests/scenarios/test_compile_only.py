"""First steps at three sizes, in two processes, and nothing timed after them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.conftest import Silent
from weighbridge.bench.analysis import ratios
from weighbridge.bench.core.effort import QUICK
from weighbridge.bench.core.record import Record
from weighbridge.bench.run import jobs
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.run.runner import Run
from weighbridge.bench.scenarios.compile_only import CompileOnly


def weighed(folder: Path, suite: str, **filters: list[str]) -> dict[str, Record]:
    planned = jobs.prepare(suite, Filters(scenarios=["compile_only"], batch_sizes=[4], **filters))
    run = Run(jobs.job(planned, 300.0, QUICK), folder / "records.jsonl", Silent())
    return {record.cell.backend: record for record in run.weigh(planned.cells)}


def shapes(record: Record) -> list[CompileOnly]:
    return [msgspec.convert(process.result, CompileOnly) for process in record.processes]


def test_two_processes_take_first_steps_at_three_sizes_and_time_nothing_else(tmp_path: Path) -> None:
    records = weighed(tmp_path, "fake", backends=["fake", "null"])
    for record in records.values():
        assert (record.status, record.reason) == ("ok", "")
        assert record.parity is not None
        assert record.parity.passed
        assert [[shape.batch_size for shape in found.shapes] for found in shapes(record)] == [[4, 8, 16]] * 2
        assert all(shape.first_s > 0 and shape.host_peak_bytes for found in shapes(record) for shape in found.shapes)
        assert record.step_s == [shape.first_s for shape in shapes(record)[0].shapes]
        assert (record.blocks, record.warmup_s, record.queued_step_s, record.score) == ([[1, 1, 1]], [], [], {})
    _, row = ratios.rows(records.values(), "fake")
    assert row.rate is None
    assert row.ratio is not None
    assert row.verdict == "UNSURE"  # of one process a side


def test_a_wrong_result_has_no_ratio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "wrong@4")
    record = weighed(tmp_path, "fake", backends=["fake"])["fake"]
    assert record.status == "parity_failed"


@pytest.mark.alone
def test_a_filled_cache_is_faster_than_an_empty_one(tmp_path: Path) -> None:
    record = weighed(tmp_path, "quick", tasks=["tabular-regression"], backends=["torch", "flax"])["flax"]
    assert record.status == "ok", record.reason
    cold, warm = (sum(shape.first_s for shape in found.shapes) for found in shapes(record))
    assert warm < cold
    assert record.warm_compile_s is not None
