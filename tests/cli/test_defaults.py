"""A user's own suite and defaults, and the backend that ratios are to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SUITE = """
about = "mine"
reference = "fake"
device = "cpu"
[[cells]]
tasks = ["tabular-regression"]
backends = ["fake", "null"]
scenarios = ["infer"]
batch_sizes = [8]
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "mine.toml").write_text(SUITE)
    return tmp_path


def configure(home: Path, text: str) -> None:
    (home / "pyproject.toml").write_text(text)


def typed(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-P", "-m", "weighbridge", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=home)


def planned(home: Path, *words: str) -> list[tuple[str, int]]:
    ended = typed(home, "run", *words, "--plan", "--json")
    assert ended.returncode == 0, ended.stderr
    return [(cell["backend"], cell["batch_size"]) for cell in json.loads(ended.stdout)]


def test_a_suite_of_ones_own_is_a_file(home: Path) -> None:
    assert planned(home, "--suite", "./mine.toml") == [("fake", 8), ("null", 8)]


def test_defaults_stand_in_pyproject_and_what_is_typed_goes_before_them(home: Path) -> None:
    configure(
        home, '[tool.weighbridge]\nspeed = "5%"\n[tool.weighbridge.run]\nsuite = "mine.toml"\nbatch-sizes = [2, 4]\n'
    )
    assert planned(home) == [("fake", 2), ("null", 2), ("fake", 4), ("null", 4)]
    assert planned(home, "--batch-sizes", "1") == [("fake", 1), ("null", 1)]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[tool.weighbridge.run]\nsweet = 1\n", "no key of [tool.weighbridge.run] 'sweet'"),
        ("[tool.weighbridge]\nrun = 1\n", "[tool.weighbridge.run] of pyproject.toml is no table"),
        ("[tool.weighbridge.run]\ntasks = [{}]\n", "tasks in [tool.weighbridge.…] takes texts and numbers"),
        ("[tool", "pyproject.toml is no TOML"),
    ],
)
def test_a_file_that_says_what_it_cannot_is_one_line_and_only_where_it_matters(
    home: Path, text: str, told: str
) -> None:
    configure(home, text)
    ended = typed(home, "run", "--plan")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert told in ended.stderr
    assert typed(home, "list", "--json").returncode == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--suite", "./none.toml"], "none.toml: there is no such file"),
        (["--suite", "mine.toml", "--reference", "torch"], "--reference torch is not weighed: add it to --backends"),
        (["--suite", "mine.toml", "--reference", "trch"], "did you mean 'torch'?"),
    ],
)
def test_what_is_not_there_is_one_line(home: Path, words: list[str], told: str) -> None:
    ended = typed(home, "run", *words, "--plan")
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert told in ended.stderr


def test_ratios_are_to_the_reference_that_was_asked_for_in_a_later_report_too(home: Path) -> None:
    ran = typed(home, "run", "--suite", "mine.toml", "--reference", "null", "--out", "out")
    assert ran.returncode == 0, ran.stderr
    again = typed(home, "report", "out", "--json")
    ratios = {row["record"]["cell"]["backend"]: row["ratio"] for row in json.loads(again.stdout)}
    assert ratios["null"] == 1.0
    assert ratios["fake"] < 0.5
    assert "Ratios are to null." in " ".join(ran.stdout.split())
