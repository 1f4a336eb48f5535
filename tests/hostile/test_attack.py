"""Each attack, for a short while: `nox -s attack` goes on for hours. And that an attack finds what is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import CLONE

ROOM = Path(__file__).parent
NAMES = ("journals", "command lines", "settings", "plug-ins", "disks", "kills", "signals")


def attack(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the program; its own process, since it forks."""
    return subprocess.run(
        [sys.executable, "-m", "tests.hostile", *words], cwd=CLONE, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("name", NAMES)
def test_nothing_that_was_promised_fails(name: str) -> None:
    ended = attack(name)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"| {name} | " in ended.stdout


def test_what_does_not_hold_is_found_and_named(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        # a contradiction is believed again
        "import weighbridge.bench.storage.contradictions as room\nroom.CHECKS = ()\n"
    )
    broken = subprocess.run(
        [sys.executable, "-m", "tests.hostile", "journals", "--only", "4"],
        cwd=CLONE, capture_output=True, text=True, check=False, env={"PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "is believed" in broken.stdout
