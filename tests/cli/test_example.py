"""examples/weighbridge-numpy, as its README says: installed, listed, weighed beside the reference; its own tests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import CLONE
from weighbridge.bench.core import child

EXAMPLE = CLONE / "examples" / "weighbridge-numpy"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the example in it, and a copy of its source beside."""
    folder = tmp_path_factory.mktemp("example")
    source = shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__"))
    offline = ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    ended = subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *offline, "--target", str(folder / "packages"), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    shutil.rmtree(source / "weighbridge_numpy")  # so that its tests find what is installed
    return folder


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    paths = [str(folder / "packages"), str(child.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    variables = {"PYTHONPATH": os.pathsep.join(paths), "WEIGHBRIDGE_DATA": str(folder / "cache")}
    return subprocess.run(
        [sys.executable, "-P", "-m", *words],
        cwd=folder / "source",
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_it_is_listed_and_weighed_beside_the_reference(installed: Path) -> None:
    ended = typed(installed, "weighbridge", "list", "--json")
    assert ended.returncode == 0, ended.stderr
    assert '"numpy"' in ended.stdout
    assert '"breast-cancer"' in ended.stdout
    words = ["--tasks", "breast-cancer", "--backends", "torch,numpy", "--scenarios", "parity", "--json"]
    ended = typed(installed, "weighbridge", "run", *words)
    assert ended.returncode == 0, ended.stderr
    records = {record["cell"]["backend"]: record for record in json.loads(ended.stdout)}
    assert {name: each["status"] for name, each in records.items()} == {"torch": "ok", "numpy": "ok"}
    ours, theirs = records["numpy"], records["torch"]
    assert ours["parity"]["passed"]
    footing = ("threads", "precision", "scope", "ran_on")
    assert [ours["facts"][name] for name in footing] == [theirs["facts"][name] for name in footing]


def test_its_own_tests_pass(installed: Path) -> None:
    ended = typed(installed, "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "tests")
    assert ended.returncode == 0, ended.stdout[-5000:] + ended.stderr
    assert "31 passed" in ended.stdout
