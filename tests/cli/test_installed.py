"""The wheel, unpacked as an installer does it, beside a project with modules of our folders' names."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from tests import CLONE
from weighbridge.bench.run.jobs import PATIENCE


def test_an_installed_wheel_leaves_a_project_alone_and_is_as_good_as_a_clone(tmp_path: Path) -> None:
    site = tmp_path / "site-packages"
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=CLONE, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(site)
    assert {path.name for path in site.iterdir() if path.suffix != ".dist-info"} == {"weighbridge"}
    ended = subprocess.run(
        [sys.executable, "-P", str(CLONE / "tests" / "installed.py")],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={**os.environ, "PYTHONPATH": str(site), PATIENCE: "0"},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert str(tmp_path) in ended.stdout
