"""Sweeps of real workers on the `fake` backend: every way to end is typed, and the others go on."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.cli.test_main import weighbridge
from tests.conftest import Silent, make_cell, make_record
from weighbridge.bench.analysis import knee, ratios
from weighbridge.bench.cli import sweep
from weighbridge.bench.cli.progress import Display
from weighbridge.bench.cli.sweep import job_of, limit_bytes, weigh
from weighbridge.bench.core import Cell, WeighbridgeError
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import environment
from weighbridge.bench.report.sections.sweep import sentence
from weighbridge.bench.run import jobs, planners
from weighbridge.bench.run.folders import Options
from weighbridge.bench.run.jobs import Planned
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.run.runner import Run
from weighbridge.bench.storage import journals

MIB = 2**20


def planned(*backends: str) -> Planned:
    return jobs.prepare("fake", Filters(backends=backends, batch_sizes=[1]))


def statuses(found: list[Record]) -> list[tuple[str, int, str]]:
    return [(record.cell.backend, record.cell.batch_size, record.status) for record in found]


@pytest.mark.parametrize(
    ("fault", "status"), [("oom", "oom"), ("raise", "crashed"), ("kill", "crashed"), ("wrong", "parity_failed")]
)
def test_a_backend_leaves_at_its_first_failure_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, status: str
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", f"{fault}@2")
    asked = planned("fake", "null")
    walk = Run(job_of(asked, Options(), None), tmp_path / "records.jsonl", Silent())
    records = list(walk.follow(planners.doubling(asked.cells, 4), {}))
    assert {entry for entry in statuses(records) if entry[0] == "fake"} == {("fake", 1, "ok"), ("fake", 2, status)}
    assert journals.load(tmp_path / "records.jsonl") == records
    for record in records:
        assert record.score == {}
        assert record.cost is None
        assert record.parity or record.status not in ("ok", "parity_failed")


def test_a_sweep_goes_on_where_it_stopped(tmp_path: Path) -> None:
    asked = planned("fake")
    first = weigh(asked, Options(out=tmp_path), 2, None)
    again = weigh(asked, Options(out=tmp_path, resume=True), 4, None)
    assert statuses(again.records) == [("fake", 1, "ok"), ("fake", 2, "ok"), ("fake", 4, "ok")]
    assert again.records[:2] == first.records


def test_a_failed_end_is_kept_until_it_is_retried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = planned("fake")
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "oom@2")
    weigh(asked, Options(out=tmp_path), 4, None)
    monkeypatch.delenv("WEIGHBRIDGE_FAKE_FAULT")
    kept = weigh(asked, Options(out=tmp_path, resume=True), 4, None)
    assert statuses(kept.records)[-1] == ("fake", 2, "oom")
    retried = weigh(asked, Options(out=tmp_path, resume=True, retry_failed=True), 4, None)
    assert statuses(retried.records)[-1] == ("fake", 4, "ok")


def test_the_words_name_knee_end_and_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "oom@4")
    done = weigh(planned("fake"), Options(out=tmp_path), 8, 512 * MIB)
    (found,) = knee.curves(ratios.rows(done.records, "fake"), 8)
    assert sentence(found) == (
        "fake: knee and best at batch 2 (200 rows/s [200, 200]); ended by oom at 4, host memory bounded to 512 MiB: "
        "RuntimeError: fake device memory exhausted"
    )
    written = (tmp_path / "sweep.md").read_text()
    assert "- fake: knee and best at batch 2" in written
    assert "| fake | 4 | – | – | – | – | n/a | oom |" in written
    assert "against batch size" in (tmp_path / "report.html").read_text()


def test_the_command_prints_curves_as_json_and_a_full_memory_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "oom@2")
    ended = weighbridge("sweep", "--suite", "fake", "--most", "4", "--out", str(tmp_path / "run"), "--json")
    assert ended.returncode == 0, ended.stderr
    (found,) = json.loads(ended.stdout)
    assert (found["knee"], found["best"], found["ended_by"]) == (1, 1, "oom at 2")
    assert found["items_per_s"].keys() == {"1"}


def test_a_plan_lists_every_size_and_weighs_nothing(tmp_path: Path) -> None:
    ended = weighbridge("sweep", "--suite", "fake", "--most", "5", "--plan", "--json", cwd=tmp_path)
    assert [cell["batch_size"] for cell in json.loads(ended.stdout)] == [1, 2, 4]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["--memory-limit", "lots"], "--memory-limit takes a size such as 4G"),
        (["--memory-limit", "4XiB"], "--memory-limit takes a size such as 4G"),
        (["--memory-limit", "1MiB"], "no worker starts"),
        (["--device", "tpu"], "this machine shows no tpu device"),
        (["--tasks", "semantic-serch"], "did you mean"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(words: list[str], hint: str, tmp_path: Path) -> None:
    ended = weighbridge("sweep", *words, cwd=tmp_path)
    assert ended.returncode == 2, ended
    assert hint in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("4GiB", 4 * 2**30),
        ("1.5 GiB", 3 * 2**29),
        ("512MiB", 2**29),
        ("1GB", 10**9),
        ("67108864", 2**26),
        ("4G", 2**32),
        ("4g", 2**32),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, expected: int | None) -> None:
    assert limit_bytes(text) == expected


def test_a_size_is_refused_in_one_line() -> None:
    with pytest.raises(WeighbridgeError, match="4G, 512MiB"):
        limit_bytes("-1GiB")


def test_plans_keep_groups_together() -> None:
    cells = [make_cell("a", batch_size=1), make_cell("b", batch_size=1)]
    found = planners.every_size(cells, 2)
    assert [(cell.backend, cell.batch_size) for cell in found] == [("a", 1), ("b", 1), ("a", 2), ("b", 2)]


def test_what_is_asked_for_next_hangs_on_the_records_so_far_and_ends() -> None:
    cells, found = [make_cell("a", batch_size=1), make_cell("b", batch_size=1)], dict[Cell, Record]()
    planner, order = planners.doubling(cells, 4), list[tuple[str, int]]()
    while todo := [cell for cell in planner(found) if cell not in found]:
        for cell in todo:
            ended = cell.backend == "a" and cell.batch_size == 2
            found[cell] = make_record(cell=cell, status="oom" if ended else "ok")
            order.append((cell.backend, cell.batch_size))
    assert order == [("a", 1), ("b", 1), ("a", 2), ("b", 2), ("b", 4)]


def test_what_a_sweep_leaves_out_is_every_larger_size_of_what_ended() -> None:
    assert planners.left_out(make_record(cell=make_cell(batch_size=4), status="oom"), 32) == 3
    assert planners.left_out(make_record(cell=make_cell(batch_size=4)), 32) == 0


def test_progress_of_a_sweep_ends_at_its_total(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Display] = []

    def display(*words: Any, **counts: int) -> Display:
        shown.append(Display(*words, **counts))
        return shown[-1]

    monkeypatch.setattr(sweep, "Display", display)
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "oom@2")
    weigh(planned("fake"), Options(out=tmp_path), 8, None)
    weigh(planned("fake"), Options(out=tmp_path, resume=True), 8, None)
    assert [(each.done, each.total) for each in shown] == [(2, 2), (2, 2)]


def test_a_plan_of_ready_cells_is_asked_for_once_and_in_its_order() -> None:
    cells = [make_cell("b"), make_cell("a", scenario="compile_only"), make_cell("c")]
    assert planners.of_plan(cells)({}) == cells


BOUNDED = """
from weighbridge.bench.measure import memory
memory.bound_host()
import numpy as np
small = np.ones(10 * 2**20 // 8)
try:
    np.ones(400 * 2**20 // 8)
except MemoryError as error:
    print("full:", memory.says_full(repr(error)))
"""


def test_a_bounded_process_fails_where_it_would_have_taken_more() -> None:
    """And only there; an unbounded one does not fail."""
    for limit, expected in (("314572800", "full: True\n"), ("", "")):
        ended = subprocess.run(
            [sys.executable, "-c", BOUNDED],
            capture_output=True, text=True, check=True,
            env={"WEIGHBRIDGE_MEMORY_LIMIT": limit, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())},
        )  # fmt: skip
        assert ended.stdout == expected


def test_workers_that_are_open_together_share_what_is_free(tmp_path: Path) -> None:
    asked = planned("fake", "null")
    free = environment.free_bytes() // 8
    job = msgspec.structs.replace(job_of(asked, Options(), free), free_bytes=lambda: free)
    walk = Run(job, tmp_path / "records.jsonl", Silent())
    bounds = {record.facts["host_limit_bytes"] for record in walk.weigh(asked.cells)}
    assert bounds in ({free // 2}, {free})
