"""Backends that must not share a process with others pass what every backend must in one of their own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import nouns

ROOT = Path(__file__).parents[2]
FILES = ("tests/contract/test_backends.py", "tests/parity/test_follow.py", "tests/backends/test_exported.py")
OF_ANOTHER = ("PYTEST_XDIST_", "PYTEST_CURRENT_TEST", "PYTEST_ADDOPTS")


@pytest.mark.parametrize("name", nouns.APART)
def test_it_passes_in_a_process_of_its_own(name: str) -> None:
    ours = {key: value for key, value in os.environ.items() if not key.startswith(OF_ANOTHER)}
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", name, *FILES]
    ended = subprocess.run(
        words, cwd=ROOT, env={**ours, nouns.VARIABLE: name}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-5000:]
    passed = re.search(r"(\d+) passed", ended.stdout)
    assert passed is not None
    assert int(passed[1]) >= 20
