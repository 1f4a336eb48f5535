"""What the command line says of itself, and that its examples can be typed."""

from __future__ import annotations

import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

import weighbridge
from weighbridge.bench.cli.help import EXAMPLES, filled
from weighbridge.bench.cli.main import app


def typed(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "weighbridge", *words], capture_output=True, text=True, check=False, cwd=folder
    )


def test_the_module_is_the_command_and_tells_its_version() -> None:
    for words in (["--version"], ["-V"]):
        ended = typed(*words)
        assert (ended.returncode, ended.stdout) == (0, f"weighbridge {version('weighbridge')}\n")
    assert weighbridge.__version__ == version("weighbridge")


@pytest.mark.parametrize("words", [["-h"], ["--help"]])
def test_the_help_names_no_module_and_says_where_to_start(words: list[str]) -> None:
    told = " ".join(typed(*words).stdout.split())
    assert "weighbridge doctor" in told
    assert "Exit codes: 0 fine" in told
    assert "cli_" not in told


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_is_below_the_help_of_its_command_and_can_be_typed(name: str) -> None:
    words = shlex.split(filled(EXAMPLES[name]))
    assert words[0] == name
    group = typer.main.get_command(app)
    context = group.make_context("weighbridge", list(words))  # parses all that precedes the command
    command, arguments = vars(group)["commands"][name], words[1:]
    if "commands" in vars(command):
        command, arguments = vars(command)["commands"][arguments[0]], arguments[1:]
    command.make_context(name, arguments, parent=context)  # and what belongs to it; raises where an option is unknown
    told = " ".join(typed(name, "-h").stdout.split())
    assert f"Example: weighbridge {shlex.join(words)}" in told


def test_every_command_has_an_example() -> None:
    assert {*EXAMPLES} == {*vars(typer.main.get_command(app))["commands"]}


def test_a_plan_shows_whole_ids_in_eighty_columns() -> None:
    ended = typed("run", "--suite", "quick", "--tasks", "semantic-search", "--plan")
    _, *lines = ended.stdout.splitlines()
    assert all(len(line.split()[0]) == 16 for line in lines)


def test_a_frameworks_name_leads_to_what_runs_on_it() -> None:
    ended = typed("run", "--backends", "jax", "--plan")
    assert ended.returncode == 2
    assert ended.stderr == "weighbridge: no backend 'jax'; what runs on it: flax, torchax\n"


FAKE = ["run", "--suite", "fake", "--backends", "fake,null", "--tasks", "tabular-regression", "--batch-sizes", "8"]


def test_quiet_prints_the_answer_alone(tmp_path: Path) -> None:
    ended = typed(*FAKE, "-q", folder=tmp_path)
    assert ended.stdout.startswith("tabular-regression on null (batch 8): same answers; ")
    assert "backend  " not in ended.stdout
    assert "[1/2]" not in ended.stderr


def test_no_progress_leaves_the_table(tmp_path: Path) -> None:
    ended = typed(*FAKE, "--no-progress", folder=tmp_path)
    assert "backend  " in ended.stdout
    assert "[1/2]" not in ended.stderr
