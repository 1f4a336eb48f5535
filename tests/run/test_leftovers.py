"""What a backend leaves in its process, kind by kind; what a process sets up once is none of it."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.numpy import save_file

from tests import nouns
from tests.conftest import make_cell
from weighbridge.bench.cli.conformance.backend import left_behind
from weighbridge.bench.cli.conformance.subject import perceptron
from weighbridge.bench.run.leftovers import Request

BACKEND = """
import atexit, os, signal, subprocess, sys, tempfile, threading, time
from weighbridge.backends.fake import Fake
kept, pool = [], []
class Untidy(Fake):
    name = "untidy"
    def open(self, model, weights, cell):
        print("garbage")
        pool or pool.append(threading.Thread(target=time.sleep, args=(60,), name="pool", daemon=True).start())
        {left}
        return super().open(model, weights, cell)
"""
LEFT = {
    "threading.Thread(target=time.sleep, args=(60,), name='worker-1', daemon=True).start()": "threads: worker-",
    "kept.append(subprocess.Popen(['sleep', '60']))": "children: sleep",
    "kept.append(open(weights))": "files: {weights}",
    "tempfile.mkdtemp(prefix='mine')": "temporary: mine",
    "os.environ['MINE'] = '1'": "variables: MINE",
    "signal.signal(signal.SIGTERM, lambda *_: None)": "signals: SIGTERM",
    "sys.path.insert(0, '/mine')": "sys.path: /mine",
    "os.chdir('/')": "working directory: /",
}


def found(left: str, folder: Path) -> list[str]:
    (folder / "untidy.py").write_text(BACKEND.format(left=left))
    (folder / "temporary").mkdir()
    case = perceptron(5, [7], 1, rows=4)
    save_file(nouns.reference("fake").weights(case.model, {}, None), folder / "weights")
    save_file(case.batch(4, 0), folder / "batch")
    asked = Request(
        module=str(folder / "untidy.py"),
        cell=make_cell("untidy"),
        model=case.model,
        weights=folder / "weights",
        batch=folder / "batch",
    )
    return left_behind(asked, folder, {"TMPDIR": str(folder / "temporary")})


def test_each_kind_is_found_and_named_and_a_child_is_not_waited_for(tmp_path: Path) -> None:
    told = found("; ".join(LEFT), tmp_path)
    expected = [each.format(weights=tmp_path / "weights") for each in LEFT.values()]
    assert len(told) == len(expected), told
    assert all(each.startswith(start) for each, start in zip(told, expected, strict=True)), told


@pytest.mark.parametrize(("left", "told"), [("pass", []), ("os._exit(7)", ["a process that ended with exit code 7"])])
def test_what_is_set_up_once_is_nothing_and_an_end_is_told(left: str, told: list[str], tmp_path: Path) -> None:
    assert [each[: len(told[0])] for each in found(left, tmp_path)] == told
