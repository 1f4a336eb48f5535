"""Every journal under results/ gives the figures, verdicts and gates that it gave before `bench` had rooms.

tests/golden/journals.json was written by the code of commit 16f1f01: of each row its status, ratio and verdict, and a
hash of all values of report.csv but the run's name; of each run and the next of the same request, what the gate says;
of load.jsonl and churn.jsonl, what their tables said.
Two rows have been written anew since: the tabular model on Flax has steps of two speeds, and an interval that covers
both (docs/design/011-neighbours-outside.md); their ratios and verdicts are as they were.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests import CLONE
from weighbridge import frame
from weighbridge.bench.analysis import gate, ratios, summary
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.cli.main import app
from weighbridge.bench.report import csv
from weighbridge.bench.report.runs import rows_of
from weighbridge.bench.report.sections import serve, varying_shapes
from weighbridge.bench.report.write import REPORTS
from weighbridge.bench.scenarios.varying_shapes.result import outcome
from weighbridge.bench.storage import journals, studies

BEFORE = json.loads((Path(__file__).parents[1] / "golden" / "journals.json").read_text(encoding="utf-8"))
PASSES = 20


def short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def figures(row: Row) -> list[str]:
    values = csv.values(row)
    cell = row.record.cell
    name = f"{cell.task} {cell.preset} {cell.backend} {cell.scenario} {cell.precision} b{cell.batch_size}"
    ratio = "" if row.ratio is None else f"{row.ratio:.6g}"
    known = json.dumps([(field, values[field]) for field in BEFORE["fields"]], default=str)
    return [name, row.record.status, ratio, row.verdict or row.lean or "", short_hash(known)]


def change(found: gate.Change) -> list[str]:
    limit = "" if found.limit is None else f"{found.limit:.6g}"
    return [
        found.cell.backend, found.kind, found.verdict or "", ",".join(found.worse), ",".join(found.better), limit,
    ]  # fmt: skip


@pytest.mark.parametrize("path", BEFORE["figures"])
def test_figures_and_verdicts_are_those_of_before(path: str) -> None:
    found = ratios.rows(journals.load(CLONE / path), "torch")
    assert [figures(row) for row in found] == BEFORE["figures"][path]


@pytest.mark.parametrize("pair", BEFORE["gates"])
def test_the_gate_says_what_it_said(pair: str) -> None:
    folder, _, next_run = pair.partition(" ")
    before = CLONE / folder / journals.JOURNAL
    after = before.parents[1] / next_run / journals.JOURNAL
    outcome = gate.judge(*summary.read_both(before, after), gate.Thresholds(), "torch")
    assert [change(each) for each in outcome.changes] == BEFORE["gates"][pair]


def test_studies_tell_what_they_told() -> None:
    """As rows of the scenarios that they are now: the same texts in the same order."""
    load, churn = (CLONE / path for path in BEFORE["studies"])
    told = serve.section(rows_of([load], "torch").rows)
    assert told is not None
    assert told.grids[0].lines == BEFORE["studies"][str(load.relative_to(CLONE))]
    records = studies.load(churn)
    cells = dict.fromkeys(msgspec.structs.replace(record.cell, settings=()) for record in records)
    several = [[outcome(each) for each in records if msgspec.structs.replace(each.cell, settings=()) == cell]
               for cell in cells]  # fmt: skip
    found = [varying_shapes.grid(alike, PASSES) for alike in several]
    texts = [[each.title.replace(" varying_shapes", ""), each.sentence, each.lines] for each in found]
    assert texts == BEFORE["studies"][str(churn.relative_to(CLONE))]


@pytest.mark.parametrize("path", BEFORE["studies"])
def test_folders_of_studies_are_reported(path: str, tmp_path: Path) -> None:
    ended = CliRunner().invoke(app, ["report", str((CLONE / path).parent), "--out", str(tmp_path)])
    assert ended.exit_code == 0, ended.output
    assert {name.name for name in tmp_path.iterdir()} == set(REPORTS)
    assert len(frame((CLONE / path).parent)) > 8
