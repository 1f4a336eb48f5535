"""A run that is resumed goes on with what it was asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from weighbridge.bench.cli import main
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.storage import journals, request
from weighbridge.bench.storage.request import Request

ASKED = Request(command="run", options={"effort": "standard", "tasks": "a", "backends": ""})


def invoke(*words: str) -> Result:
    return CliRunner().invoke(main.app, list(words))


def test_a_request_is_written_once(tmp_path: Path) -> None:
    journal = tmp_path / "records.jsonl"
    assert request.read(journal) is None
    ASKED.write(journal)
    Request(command="run", options={}).write(journal)
    assert request.read(journal) == ASKED


def test_what_is_not_typed_is_what_the_run_was_asked(tmp_path: Path) -> None:
    journal = tmp_path / "records.jsonl"
    ASKED.write(journal)
    typed_nothing = Request(command="run", options={"effort": "quick", "tasks": "", "backends": "", "new": 1})
    found = request.resumed(journal, typed_nothing, ())
    assert found.options == {"effort": "standard", "tasks": "a", "backends": "", "new": 1}
    again = Request(command="run", options={"effort": "standard", "tasks": "", "backends": ""})
    assert request.resumed(journal, again, ["effort"]).options == ASKED.options


def test_what_differs_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "records.jsonl"
    ASKED.write(journal)
    other = Request(command="run", options={"effort": "quick", "tasks": "a", "backends": "x"})
    with pytest.raises(
        WeighbridgeError, match="was asked --effort standard, no --backends, not --effort quick, --backends x;"
    ):
        request.resumed(journal, other, ["effort", "backends", "tasks"])
    with pytest.raises(WeighbridgeError, match="belongs to `weighbridge run`"):
        request.resumed(journal, Request(command="sweep", options={}), ())


def test_a_damaged_request_is_named(tmp_path: Path) -> None:
    journal = tmp_path / "records.jsonl"
    request.path(journal).write_text("{")
    with pytest.raises(WeighbridgeError, match=r"records\.request\.json cannot be read"):
        request.read(journal)


def test_a_resumed_run_keeps_its_plan_and_tier(tmp_path: Path) -> None:
    out = str(tmp_path / "run")
    first = ["run", "--suite", "fake", "--batch-sizes", "1,2", "--effort", "standard", "--out", out]
    assert invoke(*first).exit_code == 0
    journal = journals.journal(tmp_path / "run")
    journal.write_bytes(journal.read_bytes().splitlines(keepends=True)[0])
    assert invoke("run", "--resume", "--out", out).exit_code == 0
    records = journals.load(journal)
    assert [(record.cell.batch_size, record.tier) for record in records] == [(1, "standard"), (2, "standard")]
    shown = invoke("run", "--resume", "--out", out, "--plan", "--json")
    assert [cell["batch_size"] for cell in json.loads(shown.stdout)] == [1, 2]


@pytest.mark.parametrize("words", [["--effort", "strict"], ["--suite", "quick"], ["--batch-sizes", "4"]])
def test_another_request_joins_no_run(tmp_path: Path, words: list[str]) -> None:
    out = str(tmp_path / "run")
    assert invoke("run", "--suite", "fake", "--batch-sizes", "1", "--out", out).exit_code == 0
    before = journals.journal(tmp_path / "run").read_bytes()
    refused = invoke("run", "--resume", "--out", out, *words)
    assert isinstance(refused.exception, WeighbridgeError)
    assert words[0] in str(refused.exception)
    assert journals.journal(tmp_path / "run").read_bytes() == before


def test_a_load_of_other_scenarios_joins_no_load(tmp_path: Path) -> None:
    quick = ["--suite", "fake", "--batch-sizes", "1", "--out", str(tmp_path)]
    assert invoke("load", *quick, "--scenarios", "offline").exit_code == 0
    refused = invoke("load", "--resume", "--out", str(tmp_path), "--scenarios", "server", "--bound-ms", "1")
    assert "--scenarios offline" in str(refused.exception)
    assert "--bound-ms" in str(refused.exception)


def test_a_request_that_calls_its_effort_a_tier_is_gone_on_with(tmp_path: Path) -> None:
    journal = tmp_path / "records.jsonl"
    request.path(journal).write_text('{"command": "run", "options": {"tier": "standard", "tasks": "a"}}')
    typed_nothing = Request(command="run", options={"effort": "quick", "tasks": "", "backends": ""})
    assert request.resumed(journal, typed_nothing, []).options == ASKED.options


@pytest.mark.parametrize("name", ["--effort", "--tier"])
def test_effort_has_its_old_name_too(name: str, tmp_path: Path) -> None:
    ran = invoke("run", "--suite", "fake", name, "stict", "--out", str(tmp_path / "run"))
    assert "unknown effort 'stict'" in str(ran.exception)


@pytest.mark.parametrize("options", [{"suite": 7}, {"setting": [1]}, {"tasks": None, "no-such": 1}, {"option": "x"}])
def test_a_request_that_has_no_sense_is_named(options: dict[str, object], tmp_path: Path) -> None:
    journal, asked = (
        tmp_path / "records.jsonl",
        Request(command="run", options={"suite": "quick", "tasks": "", "setting": None, "option": []}),
    )
    Request(command="run", options={**asked.options, **options}).write(journal)
    with pytest.raises(WeighbridgeError, match="has no sense in"):
        request.resumed(journal, asked, [])
