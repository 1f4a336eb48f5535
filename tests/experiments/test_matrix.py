"""Sets of versions, and what their runs say together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import CLONE
from tests.conftest import make_thrice, run_of
from tests.experiments import matrix
from tests.experiments.repeat import FINISHED, Request
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.storage import journals

SETS = matrix.read_sets(matrix.FILE.read_text())


@pytest.mark.parametrize("name", list(SETS.sets))
def test_a_set_pins_what_it_names_and_leaves_the_rest_as_it_is(name: str) -> None:
    ours = (CLONE / "constraints.txt").read_text()
    found = matrix.constraints(ours, SETS.sets[name], SETS.free).splitlines()
    assert [line for line in found if line.startswith(("torch==", "jax=="))] == [
        f"torch=={SETS.sets[name]['torch']}",
        f"jax=={SETS.sets[name]['jax']}",
    ]
    assert not [line for line in found if line.startswith(("jaxlib", "triton", "nvidia-"))]
    assert "numpy==" in ours
    assert [line for line in found if line.startswith("numpy==")] == [
        line for line in ours.splitlines() if line.startswith("numpy==")
    ]


def test_sets_have_folders_of_their_own() -> None:
    folders = {matrix.folder_name(name) for name in SETS.sets}
    assert len(folders) == len(SETS.sets)
    assert "torch-2.13-jax-0.10" in folders


def test_a_change_that_every_pair_of_runs_shows_is_told() -> None:
    first = [run_of(make_thrice("b", step_s=step_s)) for step_s in (0.010, 0.0101)]
    slower = [run_of(make_thrice("b", step_s=step_s)) for step_s in (0.02, 0.0201)]
    (found,) = matrix.held(first, slower, "")
    assert "slower" in found.words


def test_a_change_that_one_pair_of_runs_lacks_is_unsure() -> None:
    first = [run_of(make_thrice("b", step_s=0.010))]
    mixed = [run_of(make_thrice("b", step_s=step_s)) for step_s in (0.02, 0.010)]
    (found,) = matrix.held(first, mixed, "")
    assert found.words == "UNSURE"
    (same,) = matrix.held(first, first, "")
    assert same.words == "UNCHANGED"


def test_the_table_has_every_set_of_a_cell_side_by_side(tmp_path: Path) -> None:
    sets = matrix.Sets(python="3", free=[], sets={"a 1": {}, "a 2": {}})
    for name, step_s in (("a 1", 0.01), ("a 2", 0.02)):
        folder = tmp_path / matrix.folder_name(name) / "01"
        folder.mkdir(parents=True)
        versions = {"python": "3", "versions": {"a": name[-1]}}
        journals.append(journals.journal(folder), make_thrice("b", step_s=step_s, environment=versions))
        (folder / FINISHED).write_text("0")
    told = matrix.table(tmp_path, sets, "")
    assert [line.split(" | ")[1] for line in told.splitlines() if "a " in line and "|" in line] == ["a 1", "a 2"]
    assert "100 % slower" in told
    assert "- a 2: a 1, now 2" in told


def test_an_environment_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    sets = matrix.Sets(python="9.9", free=[], sets={"x": {}})
    failing = tmp_path / "uv"
    failing.write_text("#!/bin/sh\necho 'no such Python 9.9' >&2; exit 2\n")
    failing.chmod(0o755)
    with pytest.raises(WeighbridgeError, match=r"no environment for x .*no such Python 9\.9"):
        matrix.run_all(tmp_path / "home", sets, Request(), 1, str(failing))
