"""Every journal under results/ gives the figures, verdicts and gates that it gave before `bench` had rooms.

tests/golden/journals.json was written by the code of commit 16f1f01: of each row its status, ratio and verdict, and a
hash of all values of report.csv but the run's name; of each run and the next of the same request, what the gate says;
of load.jsonl and churn.jsonl, a hash of their Markdown.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from bench.analysis import gate, ratios, summary
from bench.analysis.row import Row
from bench.core import child
from bench.report import csv
from bench.report.sections import serve, varying_shapes
from bench.scenarios.serve.result import Loaded
from bench.scenarios.varying_shapes.result import Churned
from bench.storage import journals, studies

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
    found = ratios.rows(journals.load(child.ROOT / path), "torch")
    assert [figures(row) for row in found] == BEFORE["figures"][path]


@pytest.mark.parametrize("pair", BEFORE["gates"])
def test_the_gate_says_what_it_said(pair: str) -> None:
    folder, _, next_run = pair.partition(" ")
    before = child.ROOT / folder / journals.JOURNAL
    after = before.parents[1] / next_run / journals.JOURNAL
    outcome = gate.judge(*summary.read_both(before, after), gate.Thresholds(), "torch")
    assert [change(each) for each in outcome.changes] == BEFORE["gates"][pair]


def test_studies_tell_what_they_told() -> None:
    load, churn = (child.ROOT / path for path in BEFORE["studies"])
    texts = (
        serve.markdown(studies.load(load, Loaded), "torch"),
        varying_shapes.markdown(studies.load(churn, Churned), PASSES),
    )
    assert [short_hash(text) for text in texts] == list(BEFORE["studies"].values())
