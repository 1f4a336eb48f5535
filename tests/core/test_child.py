"""Children import this program and nothing of the folder that the user stands in."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from weighbridge.bench.core import child
from weighbridge.bench.run.process import Worker
from weighbridge.bench.scenarios.steps.requests import Close
from weighbridge.bench.storage import journals

HOSTILE = {
    "random.py": "raise SystemExit('not Python\\'s own')",
    "tasks.py": "raise SystemExit('not ours')",
    "bench.py": "print('{\"value\": {}}')",
    "struct.py": "raise SystemExit('not Python\\'s own')",
    "backends/__init__.py": "raise SystemExit('not ours')",
}


def test_a_run_in_a_folder_with_files_of_our_names(tmp_path: Path) -> None:
    for name, text in HOSTILE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    command = [
        Path(sys.executable).with_name("weighbridge"),
        "run",
        "--suite",
        "fake",
        "--batch-sizes",
        "1",
        "--out",
        "o",
    ]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False), ended.stderr
    (record,) = journals.load(tmp_path / "o")
    assert record.status == "ok"


def test_what_a_worker_prints_is_no_answer(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text('print(\'{"value": {"printed": 1}}\', flush=True)')
    variables = {"PYTHONPATH": f"{tmp_path}:{child.ROOT}"}
    worker = Worker(variables, tmp_path / "log", 20.0, lambda fraction: None)
    try:
        worker.send(Close())
        with pytest.raises(Exception, match="AttributeError"):  # nothing was opened: an answer of the worker's own
            worker.answer(Close())
        assert "printed" in (tmp_path / "log").read_text()
    finally:
        worker.kill()


def test_a_package_among_installed_ones_needs_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "ROOT", Path("/somewhere/site-packages"))
    monkeypatch.setattr(sys, "path", ["", "/somewhere/site-packages", "/somewhere/else"])
    assert child.path_variables.__wrapped__() == {}
    monkeypatch.setattr(child, "ROOT", Path("/somewhere/else"))
    monkeypatch.setenv("PYTHONPATH", "/mine")
    assert child.path_variables.__wrapped__() == {"PYTHONPATH": "/somewhere/else:/mine"}
