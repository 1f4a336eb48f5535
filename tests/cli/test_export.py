"""`weighbridge export` as a user has it, with a backend of two formats that imports no framework."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from tests.cli.test_main import weighbridge
from weighbridge.bench.cli import main
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.storage import exports

BACKEND = '''
"""Writes weights as they are, and weights with a mistake in them."""
import shutil, time
import numpy as np
from safetensors.numpy import load_file, save_file
from weighbridge.backends.fake import Fake
from weighbridge.bench.core import Backend, Written

class Copying(Backend):
    name = "copying"
    formats = ("exact", "skewed", "slow", "broken")
    def open(self, model, weights, cell):
        return Fake().open(model, weights, cell)
    def export(self, model, weights, cell, batch, form, folder):
        found = load_file(weights)
        assert all(len(array) >= 3 for array in batch.values())
        if form == "skewed":
            found["head.weight"] = found["head.weight"] * np.float32(1.001)
        if form == "broken":
            raise RuntimeError("no such graph")
        save_file(found, folder / "weights.safetensors")
        if form == "slow":
            time.sleep(60)
        return Written(loading="`outputs` = inputs", note="A note with | and \\x1b.")
    def reopen(self, folder, form, model, cell):
        return Fake().open(model, folder / "weights.safetensors", cell)
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("export")
    (found / "mine.py").write_text(BACKEND)
    return found


def export(folder: Path, form: str, *more: str) -> subprocess.CompletedProcess[str]:
    words = ["export", "tabular-regression", "--format", form, "--backend", "mine.py", *more]
    return weighbridge(*words, cwd=folder)


def check(folder: Path, name: str) -> subprocess.CompletedProcess[str]:
    return weighbridge("export", "--check", name, "--backend", "mine.py", cwd=folder)


def test_an_export_is_written_proven_checked_and_refused_once_it_is_damaged(folder: Path) -> None:
    ended = export(folder, "exact")
    assert ended.returncode == 0, ended.stderr
    assert "Wrote exports/tabular-regression-small-exact/: same answers (error " in ended.stderr
    made = folder / "exports" / "tabular-regression-small-exact"
    assert {path.name for path in made.iterdir()} == {"card.json", "README.md", "weights.safetensors"}
    card = exports.read(made)
    assert card.passed
    assert [proof.rows for proof in card.proofs] == [32, 31, 1]
    assert card.score["r2"] == pytest.approx(0.45, abs=0.01)
    assert [(port.name, port.sizes) for port in card.inputs] == [("features", (None, 10))]
    assert [(port.name, port.sizes) for port in card.outputs] == [("prediction", (None,))]
    readme = (made / "README.md").read_text()
    assert "    `outputs` = inputs" in readme
    assert r"A note with \| and \\x1b." in readme
    assert "r2 0.45" in readme

    again = export(folder, "exact")
    assert (again.returncode, again.stderr.count("\n")) == (2, 1)
    assert "add --force to make it anew" in again.stderr

    held = check(folder, str(made))
    assert held.returncode == 0, held.stderr
    assert "1 file as the card says; same answers (error " in held.stdout

    content = bytearray((made / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (made / "weights.safetensors").write_bytes(content)
    damaged = check(folder, str(made))
    assert (damaged.returncode, damaged.stderr.count("\n")) == (1, 1)
    assert "weights.safetensors was changed since it was exported" in damaged.stderr

    assert export(folder, "exact", "--force").returncode == 0
    assert check(folder, str(made)).returncode == 0
    config = msgspec.structs.replace(exports.read(made).model, config={"checkpoint_path": "/evil"})
    exports.write(made, msgspec.structs.replace(card, model=config), "")
    assert "another version of tabular-regression" in check(folder, str(made)).stderr
    assert not list((folder / "exports").glob(".export-*"))


def test_an_export_that_computes_something_else_says_so_in_its_card_and_fails(folder: Path) -> None:
    ended = export(folder, "skewed", "--json", "--out", "skewed")
    assert ended.returncode == 1
    assert "OTHER ANSWERS" in ended.stderr
    assert [proof["parity"]["passed"] for proof in json.loads(ended.stdout)["proofs"]] == [False] * 3
    assert "It FAILED its check" in (folder / "skewed" / "README.md").read_text()
    assert check(folder, "skewed").returncode == 1


def test_what_cannot_be_written_leaves_nothing(folder: Path) -> None:
    ended = export(folder, "broken", "--out", "broken")
    assert (ended.returncode, "Traceback" in ended.stderr) == (1, False)
    assert "weighbridge: broken by copying: RuntimeError: no such graph" in ended.stderr
    assert not (folder / "broken").exists()


AS_IN_A_TERMINAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from weighbridge.bench.cli import entry
entry.script()
"""
"""A shell has what runs in its background ignore interrupts, and so would what that starts."""


def test_an_interrupt_leaves_nothing(folder: Path) -> None:
    words = ["export", "tabular-regression", "--format", "slow", "--backend", "mine.py", "--out", "there/slow"]
    command = [sys.executable, "-P", "-c", AS_IN_A_TERMINAL, *words]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not list(folder.glob("there/.export-*/new/*")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate()
    assert process.returncode == 130
    assert told.splitlines()[-1].startswith("weighbridge: interrupted; nothing was written")
    assert not list((folder / "there").iterdir())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "name a task and a --format from onnx, openvino, safetensors, stablehlo, torch-export; or a folder"),
        (["tabular-regression", "--format", "onxn"], "no format 'onxn'; did you mean 'onnx'?"),
        (["tabular-regresion", "--format", "onnx"], "did you mean 'tabular-regression'?"),
        (["tabular-regression", "--format", "onnx", "--preset", "smal"], "did you mean 'small'?"),
        (["tabular-regression", "--format", "onnx", "--backend", "torch"], "torch does not export to onnx; choose"),
        (["tabular-regression", "--format", "onnx", "--precision", "bf16"], "computes in float32"),
        (["tabular-regression", "--format", "onnx", "--precision", "fp31"], "did you mean 'fp32'?"),
        (["tabular-regression", "--format", "onnx", "--weights", "none.pt"], "no safetensors file"),
        (["tabular-regression", "--format", "onnx", "--out", "held"], "held holds other files than an export's"),
        (["tabular-regression", "--check", "held"], "leave them out"),
        (["--check", "held"], "held is no export: it has no card.json"),
        (["--check", "nowhere"], "nowhere is no export"),
    ],
)
def test_a_wrong_request_is_one_line(
    words: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "held").mkdir()
    (tmp_path / "held" / "mine.txt").touch()
    monkeypatch.chdir(tmp_path)
    error = CliRunner().invoke(main.app, ["export", *words]).exception
    assert isinstance(error, WeighbridgeError), error
    assert (error.code, "\n" in str(error)) == (2, False)
    assert told in str(error)
    assert [path.name for path in tmp_path.rglob("*")] == ["held", "mine.txt"]
