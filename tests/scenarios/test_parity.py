"""Scenario `parity`: a check, the same check of mistakes made on purpose, and nothing timed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import Silent
from weighbridge.bench.analysis import ratios
from weighbridge.bench.core.effort import QUICK, STANDARD
from weighbridge.bench.core.record import Controls, Record
from weighbridge.bench.report.sections import parity
from weighbridge.bench.run import jobs
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.run.runner import Run

EXPECTED = [["bias of the head lost"], ["last bits"], ["nothing"], ["head of another width"]]


def kinds(found: Controls | None) -> list[list[str]] | None:
    return found and [found.killed, found.survived, found.idle, list(found.unmade)]


def weighed(folder: Path, scenario: str = "parity", effort: object = QUICK) -> Record:
    planned = jobs.prepare("fake", Filters(scenarios=[scenario], batch_sizes=[4], backends=["fake"]))
    run = Run(jobs.job(planned, 300.0, effort), folder / "records.jsonl", Silent())  # type: ignore[arg-type]
    (record,) = run.weigh(planned.cells)
    return record


def test_parity_is_shown_with_its_controls_and_nothing_is_timed(tmp_path: Path) -> None:
    record = weighed(tmp_path)
    assert (record.status, record.reason) == ("ok", "")
    assert record.parity is not None
    assert record.parity.passed
    assert kinds(record.parity.controls) == EXPECTED
    assert (len(record.processes), record.step_s, record.score) == (1, [], {})


def test_timed_cells_have_controls_but_for_quick_ones(tmp_path: Path) -> None:
    for effort, expected in ((QUICK, None), (STANDARD, EXPECTED)):
        record = weighed(tmp_path / effort.name, "infer", effort)
        assert record.parity is not None
        assert kinds(record.parity.controls) == expected


def test_the_ledger_names_what_the_check_sees_and_what_not(tmp_path: Path) -> None:
    found = parity.section(ratios.rows([weighed(tmp_path)], "fake"))
    assert found is not None
    (grid,) = found.grids
    assert grid.sentence == "the same answers on fake; the check does not see: last bits"
    (line,) = grid.lines
    assert dict(zip(grid.headings, line, strict=True))["mistakes seen"] == "1 of 2"
    sees, misses, unmade = grid.below
    assert (sees, misses) == ("fake: the check sees bias of the head lost", "fake: the check does not see last bits")
    assert unmade.startswith("fake: not made: head of another width (ValueError: matmul")


def test_the_ledger_says_who_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "wrong@4")
    record = weighed(tmp_path)
    assert record.status == "parity_failed"
    found = parity.section(ratios.rows([record], "fake"))
    assert found is not None
    assert found.grids[0].sentence == "no backend is proven; not on fake"


def test_other_scenarios_have_no_ledger(tmp_path: Path) -> None:
    assert parity.section(ratios.rows([weighed(tmp_path, "infer")], "fake")) is None
