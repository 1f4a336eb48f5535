"""compare, baseline and history as a user types them: exit codes and words."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from tests.conftest import make_cell
from tests.conftest import make_thrice as make_record
from tests.storage.test_journals import OLD, old_line
from weighbridge.bench.cli import console, main
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.core.record import Record
from weighbridge.bench.storage import baseline, journals

HOSTILE = "<b>[red]|`x`\n../../etc"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WEIGHBRIDGE_MACHINE", "here")
    monkeypatch.setattr(console.out, "_width", 240)


def weighbridge(*words: str) -> Result:
    return CliRunner().invoke(main.app, list(words))


def wrong(*words: str) -> str:
    """What `bench.cli.main.main` prints in one line, with exit code 2."""
    error = weighbridge(*words).exception
    assert isinstance(error, WeighbridgeError), error
    assert "\n" not in str(error)
    return str(error)


def steps(step_s: float, spread: float, seed: int) -> list[float]:
    return (step_s * np.exp(np.random.default_rng(seed).normal(0, spread, 30))).tolist()


def write(name: str, *records: Record) -> str:
    Path(name).mkdir(parents=True)
    for record in records:
        journals.append(journals.journal(Path(name)), record)
    return name


def a_run(name: str, factor: float = 1.0, seed: int = 0, spread: float = 0.005) -> str:
    """Five quiet cells."""
    cells = [make_cell(batch_size=size) for size in range(1, 6)]
    return write(name, *(make_record(cell=cell, step_s=steps(0.01 * factor, spread, seed)) for cell in cells))


def test_a_run_and_itself_is_no_regression() -> None:
    ended = weighbridge("compare", a_run("a"), "a")
    assert ended.exit_code == 0
    assert "No regression: 5 unchanged." in ended.stdout


def test_the_same_run_20_percent_slower_fails_the_build() -> None:
    ended = weighbridge("compare", a_run("a"), a_run("b", 1.2))
    assert ended.exit_code == 1
    assert "5 regressions." in ended.stdout
    assert "0.83×" in ended.stdout
    assert "20 % slower" in ended.stdout
    assert weighbridge("compare", "b", "a").exit_code == 0


def test_a_noisy_cell_whose_interval_covers_it_is_unsure_and_fails_nothing() -> None:
    cells = [make_cell(batch_size=size) for size in (1, 2)]
    before = [make_record(cell=cell, step_s=steps(0.01, 0.5, seed=1)) for cell in cells[:1]]
    after = [make_record(cell=cell, step_s=(1.2 * np.array(steps(0.01, 0.5, seed=1))).tolist()) for cell in cells[:1]]
    quiet = make_record(cell=cells[1], step_s=steps(0.01, 0.005, seed=2))
    ended = weighbridge("compare", write("a", *before, quiet), write("b", *after, quiet))
    assert ended.exit_code == 0
    assert "No regression: 1 unsure, 1 unchanged." in ended.stdout
    (line,) = (line for line in ended.stdout.splitlines() if line.startswith("UNSURE"))
    assert "0.83×" in line


def test_a_cell_that_slowed_with_its_reference_is_unsure_and_the_reference_fails_the_build() -> None:
    for name, factor in (("a", 1.0), ("b", 1.2)):
        write(name, make_record("fake", 0.01 * factor), make_record("null", 0.005 * factor))
    ended = weighbridge("compare", "a", "b", "--json")
    found = {change["cell"].split()[1]: change for change in json.loads(ended.stdout)["changes"]}
    assert (ended.exit_code, found["fake"]["kind"], found["null"]["kind"]) == (1, "REGRESSION", "UNSURE")
    assert found["null"]["unsure"] == "the reference was slower by as much: the machine, or what both share"
    assert found["null"]["limit"] == 0.05


def test_a_missing_cell_is_named_and_fails_on_request() -> None:
    a_run("a")
    write("b", make_record(cell=make_cell(batch_size=1), step_s=steps(0.01, 0.005, 0)))
    ended = weighbridge("compare", "a", "b")
    assert (ended.exit_code, ended.stdout.count("MISSING")) == (0, 4)
    ended = weighbridge("compare", "a", "b", "--require-all")
    assert ended.exit_code == 1
    assert "--require-all" in ended.stdout


def test_thresholds_come_from_the_command_line_before_the_file() -> None:
    words = ["compare", a_run("a"), a_run("b", 1.2)]
    assert weighbridge(*words, "--speed", "25%").exit_code == 0
    Path("pyproject.toml").write_text('[tool.weighbridge]\nspeed = "25%"\n', encoding="utf-8")
    assert weighbridge(*words).exit_code == 0
    assert weighbridge(*words, "--speed", "0.1").exit_code == 1
    assert "speed takes a share" in wrong(*words, "--speed", "5")


def test_json_has_every_cell_and_markdown_what_changed() -> None:
    a_run("a")
    write("b", *(make_record(cell=make_cell(batch_size=1 + size), step_s=0.01 if size else 0.02) for size in range(5)))
    ended = weighbridge("compare", "a", "b", "--json")
    found = json.loads(ended.stdout)
    assert (ended.exit_code, found["failed"], len(found["changes"])) == (1, True, 5)
    first = found["changes"][0]
    assert (first["kind"], first["worse"], first["verdict"]) == ("REGRESSION", ["speed"], "SLOWER")
    assert first["speed"]["high"] < 0.6
    ended = weighbridge("compare", "a", "b", "--markdown")
    assert ended.stdout.startswith("## Weighbridge: 1 regression: 4 unchanged.\n\n| ")
    assert ended.stdout.count("REGRESSION") == 1


def test_many_changes_are_cut_short_in_the_terminal_and_not_in_json() -> None:
    cells = [make_cell(batch_size=size) for size in range(1, 101)]
    write("a", *(make_record(cell=cell) for cell in cells))
    write("b", *(make_record(cell=cell, step_s=0.02) for cell in cells))
    ended = weighbridge("compare", "a", "b")
    assert ended.stdout.count("REGRESSION") == 40
    assert "… and 60 more" in ended.stdout
    assert len(json.loads(weighbridge("compare", "a", "b", "--json").stdout)["changes"]) == 100


def test_hostile_names_are_text_everywhere() -> None:
    before, after = (make_record(cell=make_cell(HOSTILE), step_s=step_s) for step_s in (0.01, 0.02))
    write("a", before)
    write("b", after)
    for words in ((), ("--json",), ("--markdown",)):
        ended = weighbridge("compare", "a", "b", *words)
        assert (ended.exit_code, ended.exception.__class__) == (1, SystemExit)
        assert "[red]" in ended.stdout.replace("\\", "")


def test_scores_that_are_no_number_are_a_regression() -> None:
    write("a", make_record())
    write("b", make_record(score={"r2": float("nan")}))
    ended = weighbridge("compare", "a", "b")
    assert ended.exit_code == 1
    assert "r2 0.5000, now n/a" in ended.stdout


def test_an_older_schema_and_torn_lines_are_read() -> None:
    write("a", make_record())
    Path("b.jsonl").write_bytes(old_line() + b"\n" + b'{"torn')
    ended = weighbridge("compare", "a", "b.jsonl")
    assert ended.exit_code == 0
    assert "1 unsure" in ended.stdout
    assert "b.jsonl, line 2 is no record" in ended.stdout
    (published,) = OLD
    assert weighbridge("compare", str(published), str(published)).exit_code == 0


def test_the_baseline_stands_in_for_before() -> None:
    a_run("a")
    assert weighbridge("baseline", "set", "a").exit_code == 0
    assert Path("results/baselines/here.jsonl").is_file()
    assert weighbridge("compare", "a").exit_code == 0
    assert weighbridge("compare", a_run("b", 1.2)).exit_code == 1
    assert weighbridge("baseline", "show").stdout.count("9.99 ms") == 5
    assert len(json.loads(weighbridge("baseline", "show", "--json").stdout)) == 5
    assert weighbridge("baseline", "set", "b").exit_code == 0
    assert weighbridge("compare", "b").exit_code == 0
    assert [path.name for path in Path("results/baselines").iterdir()] == ["here.jsonl"]


def test_a_baseline_that_is_half_written_never_replaces_the_old(monkeypatch: pytest.MonkeyPatch) -> None:
    a_run("a")
    weighbridge("baseline", "set", "a")
    a_run("b", 1.2)
    before = baseline.path().read_bytes()
    monkeypatch.setattr(journals.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError("disk full")))
    assert isinstance(weighbridge("baseline", "set", "b").exception, OSError)
    assert baseline.path().read_bytes() == before


def test_what_is_wrong_says_what_to_type() -> None:
    a_run("a")
    write("failed", make_record(status="crashed"))
    Path("empty.jsonl").touch()
    assert "weighbridge baseline set RUN" in wrong("compare", "a")
    assert "weighbridge baseline set RUN" in wrong("baseline", "show")
    assert "give a folder" in wrong("compare", "a", "nowhere")
    assert "give a folder" in wrong("baseline", "set", "nowhere")
    assert "takes one run" in wrong("compare", "a", "a", "a")
    assert "no record" in wrong("compare", "a", "empty.jsonl")
    assert "no cell of failed is ok" in wrong("baseline", "set", "failed")
    assert "a machine's name is" in wrong("baseline", "set", "a", "--machine", "../../x")
    assert "weighbridge run" in wrong("history")


def test_history_names_the_run_of_a_step() -> None:
    for index, level in enumerate([0.01, 0.01, 0.01, 0.0112, 0.0112, 0.0112]):
        write(f"results/here/r{index}", make_record(step_s=level, started=f"2026-11-{index + 1:02}"))
    ended = weighbridge("history")
    assert ended.exit_code == 0
    assert "run r3: 12 % slower from here" in ended.stdout
    (only,) = json.loads(weighbridge("history", "--machine", "here", "--json").stdout)
    assert [step["run"] for step in only["steps"]] == ["r3"]
