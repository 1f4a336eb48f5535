"""The conformance kit on a backend that is right, and on five that are it with a fault: each costs the test it should.

All of them stand in one file, which one pytest of its own runs; the fake reference makes what they are held to.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests import CLONE
from weighbridge.bench.cli.conformance import BackendConformance, Never, NotImplementedHere, NotYet, Replaced
from weighbridge.bench.cli.conformance.announced import names_of
from weighbridge.bench.core import child
from weighbridge.bench.measure import environment

EXAMPLE = CLONE / "examples" / "weighbridge-numpy"
BACKEND = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from weighbridge_numpy.backend import Numpy, Perceptron

class Session(Perceptron):
    {session}

class Planted(Numpy):
    name = {name!r}
    {backend}
    def open(self, model, weights, cell):
        opened = super().open(model, weights, cell)
        opened.__class__ = Session
        return opened
"""
ASYNCHRONOUS = """
    def step(self, x):
        with_one = ThreadPoolExecutor(1)
        y = with_one.submit(super().step, x)
        with_one.shutdown(wait=False)
        return y

    def to_host(self, y):
        return super().to_host(y.result())
"""
WRONG_DTYPE = """
    def to_host(self, y):
        return {name: array.astype(np.float64) for name, array in super().to_host(y).items()}
"""
SWAPPED = """
    def to_host(self, y):
        return super().to_host(y[:, ::-1])
"""
LEAKED = """
    def step(self, x):
        y = super().step(x)
        vars(self).setdefault("kept", []).append(y)
        return y
"""
ELSEWHERE = "cuda" if not environment.has_device("cuda") else "tpu"
PLANTED: Mapping[str, tuple[str, str, str, str]] = {
    "right": ("pass", "", "", ""),
    "asynchronous": (ASYNCHRONOUS, "", "test_a_step_is_done_when_sync_returns", "sync returns before the work is done"),
    "dtype": (WRONG_DTYPE, "", "test_outputs_have_the_references_names_shapes_and_dtypes", "float64"),
    "swapped": (SWAPPED, "", "test_outputs_are_the_references", "columns of 'prediction' are swapped"),
    "leaked": (LEAKED, "", "test_steps_hold_no_memory", "40 steps of 4194304 bytes left"),
    "elsewhere": (
        "pass",
        f'devices = ("cpu", {ELSEWHERE!r})',
        "test_a_device_that_is_not_here_is_an_error",
        f"asked for {ELSEWHERE}, which this machine does not have, it ran on another device",
    ),
}
"""Name -> a session's methods, a backend's, the test that must fail, and what it must say."""
FIGURES = "test_its_figures_are_finite_and_are_those_of_target_and_baseline"
SUITE = """
from weighbridge.bench.cli.conformance import BackendConformance, Never, TaskConformance

{classes}

class TestStale(TaskConformance):
    task, reference = "tabular-regression", "fake"
    announced = (Never("test_its_recipe_trains", "it has none", ValueError),)

class TestAnnounced(TaskConformance):
    task, reference = {task!r}, "fake"
    announced = (Never({figures!r}, "no score", ZeroDivisionError),)

class TestOtherwise(TaskConformance):
    task, reference = {task!r}, "fake"
    announced = (Never({figures!r}, "no score", KeyError),)
"""
TASK = """
from dataclasses import replace
from weighbridge.tasks import tabular_regression
TASK = replace(tabular_regression.TASK, name="unscored", score=lambda rows: {"r2": 1 / 0})
"""


Results = Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Class -> test -> why it failed, for those that did not pass; "xfail" for those that failed as announced."""
    folder = tmp_path_factory.mktemp("planted")
    classes = list[str]()
    for name, (session, backend, _, _) in PLANTED.items():
        (folder / f"{name}.py").write_text(BACKEND.format(session=session.strip(), backend=backend, name=name))
        named = f'backend, reference = {str(folder / f"{name}.py")!r}, "fake"'
        classes.append(f"class Test{name.title()}(BackendConformance):\n    {named}\n")
    (folder / "unscored.py").write_text(TASK)
    (folder / "test_all.py").write_text(
        SUITE.format(classes="\n".join(classes), task=str(folder / "unscored.py"), figures=FIGURES)
    )
    ended = run_pytest(folder, "test_all.py", "--junitxml=found.xml")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    found: dict[str, dict[str, str]] = {}
    for case in ElementTree.parse(folder / "found.xml").iter("testcase"):
        tests = found.setdefault(case.attrib["classname"].rpartition(".Test")[2].lower(), {"": ""})
        for told in case:
            tests[case.attrib["name"]] = told.attrib.get("type", "") + told.attrib["message"]
    return found


def run_pytest(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = [str(EXAMPLE), str(child.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_costs_its_own_test_and_is_named(results: Results, name: str) -> None:
    *_, test, said = PLANTED[name]
    failed = {each: told for each, told in results[name].items() if each}
    assert failed.keys() == ({test} if test else set()), failed
    assert said in "".join(failed.values())


def test_what_fails_as_it_was_announced_passes_and_nothing_else_does(results: Results) -> None:
    assert results["announced"][FIGURES].startswith("pytest.xfailnever: no score")
    assert "ZeroDivisionError" in results["otherwise"][FIGURES]
    stale = results["stale"]["test_its_recipe_trains"]
    assert 'if it passes, delete Never("test_its_recipe_trains")' in stale
    assert {len(results[name]) for name in ("announced", "otherwise", "stale")} == {2}


def made(base: type, **body: object) -> type:
    return type("TestMine", (base,), body)


KEPT = "test_steps_hold_no_memory"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({KEPT: None}, f"deletes {KEPT}; announce why"),
        ({KEPT: lambda self: None}, f"overrides {KEPT}; announce why"),
        ({"pytestmark": pytest.mark.skip(reason="slow")}, "marks every test as skip"),
        ({"pytestmark": [pytest.mark.xfail]}, "marks every test as xfail"),
        ({"announced": (Never("test_steps_hold_no_memry", "why", ValueError),)}, f"did you mean '{KEPT}'"),
        ({"announced": (NotYet(KEPT, " ", ValueError),)}, "has no reason"),
        ({"announced": (NotImplementedHere(KEPT, "why", Exception),)}, "which is everything"),
        ({"announced": (NotYet(KEPT, "why", ValueError), Replaced(KEPT, "why"))}, "announced 2 times"),
    ],
)
def test_a_subclass_that_silences_a_test_is_refused_by_name(body: dict[str, object], told: str) -> None:
    with pytest.raises(TypeError, match="TestMine") as caught:
        made(BackendConformance, **body)
    assert told in str(caught.value)


def test_one_that_says_why_is_not() -> None:
    mine = made(BackendConformance, announced=(Replaced(KEPT, "on two devices"),), **{KEPT: lambda self: None})
    assert names_of(mine) == names_of(BackendConformance)
    assert made(mine).__mro__[1] is mine
    with pytest.raises(TypeError, match="overrides test_its_clock"):
        made(mine, test_its_clock_never_goes_back=lambda self: None)


def test_what_a_conftest_takes_away_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "from weighbridge.bench.cli.conformance import TaskConformance\n"
        "class TestMine(TaskConformance):\n    task, reference = 'tabular-regression', 'fake'\n"
    )
    (tmp_path / "conftest.py").write_text(
        "import pytest\n"
        "def pytest_collection_modifyitems(items):\n"
        "    items[:] = [item for item in items if 'recipe' not in item.name]\n"
        "    next(item for item in items if 'same_each' in item.name).add_marker(pytest.mark.skip(reason='slow'))\n"
    )
    ended = run_pytest(tmp_path, "-k", "left_out or recipe or same_each")
    assert ended.returncode == 1
    assert "test_its_recipe_trains was deselected" in ended.stdout
    assert "test_its_data_are_the_same_each_time is marked as skip; announce it" in ended.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "ERROR: name what is to be tried: --backend NAME, or --task NAME"),
        (["--backend", "fak"], "ERROR: no backend 'fak'"),
        (["--task", "tabular-regresion"], "ERROR: no task 'tabular-regresion'; did you mean 'tabular-regression'?"),
    ],
)
def test_a_slip_on_the_command_line_is_one_line(words: list[str], told: str, tmp_path: Path) -> None:
    ended = run_pytest(tmp_path, "--pyargs", "weighbridge.bench.cli.conformance", *words)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert told in ended.stderr
    assert "Traceback" not in ended.stderr + ended.stdout


def test_the_option_of_somebody_elses_conftest_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        "def pytest_addoption(parser): parser.addoption('--backend', default='theirs')\n"
    )
    (tmp_path / "test_theirs.py").write_text(
        "def test(request): assert request.config.getoption('--backend') == 'ours'\n"
    )
    ended = run_pytest(tmp_path, "--backend", "ours")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    ended = run_pytest(
        tmp_path, ".", "--weighbridge-backend", "fake", "--pyargs", "weighbridge.bench.cli.conformance", "--co"
    )
    assert "TestBackend" in ended.stdout, ended.stdout + ended.stderr
