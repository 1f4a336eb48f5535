"""Real worker processes on the fake backend: every way to end, and what is left behind."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import psutil
import pytest
from rich.console import Console

from tests.conftest import make_cell, workers_of
from weighbridge.bench.analysis import runs
from weighbridge.bench.cli import run
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.core.card import BackendCard
from weighbridge.bench.core.record import Record
from weighbridge.bench.run import cards, jobs
from weighbridge.bench.run.folders import Options
from weighbridge.bench.run.jobs import Planned
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.storage import coding, journals, packages

QUIET = Console(file=io.StringIO())


@pytest.fixture(scope="module")
def planned() -> Planned:
    return jobs.prepare("fake", Filters(batch_sizes=[1, 4]))


def weigh(planned: Planned, out: Path, **options: object) -> list[Record]:
    return run.weigh(planned, Options(out=out, **options), QUIET).records  # type: ignore[arg-type]


def test_a_run_on_fake_is_the_same_every_time(planned: Planned, tmp_path: Path) -> None:
    weigh(planned, tmp_path / "scored")  # a score that is measured, not remembered, moves the fake clock on
    first, second = (weigh(planned, tmp_path / name) for name in ("a", "b"))
    assert [record.status for record in first] == ["ok", "ok"]
    assert [record.step_s for record in first] == [record.step_s for record in second]
    assert first[0].compile_s == pytest.approx(0.51)
    assert first[0].parity is not None
    assert first[0].parity.passed
    assert (tmp_path / "a" / "report.md").exists()
    assert not (tmp_path / "a" / "logs").exists()


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ("raise", "crashed", "RuntimeError: fake fault"),
        ("oom", "oom", "fake device memory exhausted"),
        ("kill", "crashed", "killed by SIGKILL"),
        ("wrong", "parity_failed", "times the reference's, limit 2"),
        ("hang", "timeout", "raise it with --time-limit"),
    ],
)
def test_a_failed_cell_leaves_a_record_and_the_run_goes_on(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, status: str, reason: str
) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", f"{fault}@1")
    records = weigh(planned, tmp_path, time_limit_s=8.0 if fault == "hang" else 60.0)
    assert [(record.cell.batch_size, record.status) for record in records] == [(1, status), (4, "ok")]
    assert reason in records[0].reason
    assert runs.failed(records, [])
    monkeypatch.delenv("WEIGHBRIDGE_FAKE_FAULT")
    again = weigh(planned, tmp_path, resume=True, retry_failed=True)
    assert sorted(record.status for record in again) == ["ok", "ok"]
    assert len(journals.read(journals.journal(tmp_path))[0]) == 2


@pytest.mark.parametrize("name", ["oracle", "reference"])
def test_a_flipped_bit_in_the_cache_lets_nothing_wrong_pass(
    name: str, planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It used to: outputs that were wrong passed against an oracle that was."""
    monkeypatch.setenv("WEIGHBRIDGE_DATA", str(tmp_path / "cache"))
    weigh(planned, tmp_path / "before")
    for path in (tmp_path / "cache").rglob(f"{name}.safetensors"):
        content = bytearray(path.read_bytes())
        content[-2] ^= 0x40
        path.write_bytes(content)
    records = weigh(planned, tmp_path / "after")
    assert [record.status for record in records] == ["ok", "ok"]
    assert all(f"{name}.safetensors.damaged" in str(record.facts["moved_aside"]) for record in records)
    report = (tmp_path / "after" / "report.md").read_text()
    assert "damaged in the cache, moved aside and made anew: " in report
    monkeypatch.setenv("WEIGHBRIDGE_FAKE_FAULT", "wrong@1")
    assert weigh(planned, tmp_path / "wrong")[0].status == "parity_failed"


def test_resume_redoes_nothing(planned: Planned, tmp_path: Path) -> None:
    weigh(planned, tmp_path)
    before = journals.journal(tmp_path).read_bytes()
    weigh(planned, tmp_path, resume=True)
    assert journals.journal(tmp_path).read_bytes() == before
    with pytest.raises(WeighbridgeError, match="add --resume"):
        weigh(planned, tmp_path)


def test_a_missing_package_skips_with_the_command_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = cards.backend("fake")
    lacks = {"name": "absent", "requires": ("no_such_module",), "extra": "absent"}
    known = {"fake": fake, "absent": msgspec.structs.replace(fake, **lacks)}
    monkeypatch.setattr(cards, "backends", lambda: known)
    planned = Planned(cells=[make_cell("absent")], reference="fake")
    (record,) = weigh(planned, tmp_path)
    assert record.status == "skipped"
    assert record.reason == "absent needs no_such_module; type: python -m pip install 'weighbridge[absent]'"
    assert runs.failed([record], ["absent"])
    assert not runs.failed([record], [])


def test_a_backend_that_cannot_be_read_skips_its_cells_with_the_reason(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {**cards.backends(), "broken": BackendCard(name="broken", module="", problem="broken cannot be read")}
    monkeypatch.setattr(cards, "backends", lambda: known)
    planned = msgspec.structs.replace(planned, cells=[*planned.cells, make_cell("broken", batch_size=4)])
    found = {record.cell.backend: (record.status, record.reason) for record in weigh(planned, tmp_path)}
    assert found == {"fake": ("ok", ""), "broken": ("skipped", "broken cannot be read")}


def test_data_that_cannot_be_had_skips_its_tasks_only(
    planned: Planned, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(names: object) -> None:
        raise WeighbridgeError("data package x has another hash")

    monkeypatch.setattr(packages, "files", refuse)
    assert {(r.status, r.reason) for r in weigh(planned, tmp_path)} == {("skipped", "data package x has another hash")}


def test_an_address_space_limit_is_an_oom_record(planned: Planned, tmp_path: Path) -> None:
    """A real limit on a real framework: torch cannot even be loaded in one GiB of address space."""
    command = f"ulimit -v 1200000; exec {sys.executable} -m weighbridge run --suite quick --tasks tabular-regression "
    ended = subprocess.run(
        ["bash", "-c", command + f"--backends torch --out {tmp_path}"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1, ended.stderr
    (record,) = journals.load(tmp_path)
    assert record.status == "oom", record.reason


def test_two_runs_do_not_share_a_folder(planned: Planned, tmp_path: Path) -> None:
    with journals.writing(tmp_path), pytest.raises(WeighbridgeError, match="another run"):
        weigh(planned, tmp_path)


def test_a_killed_parent_takes_its_worker_along(tmp_path: Path) -> None:
    variables = {**os.environ, "WEIGHBRIDGE_FAKE_FAULT": "hang"}
    command = [sys.executable, "-m", "weighbridge", "run", "--suite", "fake", "--out", str(tmp_path)]
    parent = subprocess.Popen(command, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children = wait_for_children(parent.pid)
    parent.kill()
    parent.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert not alive


def wait_for_children(pid: int) -> list[psutil.Process]:
    """What a parent has started, as soon as a worker is among it."""
    for _ in range(1000):
        if workers_of(psutil.Process(pid)):
            return psutil.Process(pid).children()
        time.sleep(0.01)
    raise AssertionError("the parent never started a worker")


def test_the_parent_imports_no_framework_no_backend_and_no_task(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from weighbridge.bench.cli import console, doctor, listing, main, run; "
        "from weighbridge.bench.run import folders, jobs; from weighbridge.bench.run.plan import Filters; "
        "listing.listing(); doctor.examine(); planned = jobs.prepare('fake', Filters()); "
        f"run.weigh(planned, folders.Options(out=Path({str(tmp_path)!r})), console.err); "
        "print([name for name in sys.modules if name.startswith(('weighbridge.backends.', 'weighbridge.tasks.')) "
        "or name in ('torch', 'jax', 'flax', 'transformers', 'timm')])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
    assert {record.status for record in journals.load(tmp_path)} == {"ok"}


def test_records_of_a_run_survive_a_round_trip(planned: Planned, tmp_path: Path) -> None:
    for record in weigh(planned, tmp_path):
        assert msgspec.json.decode(coding.encoder.encode(record), type=Record) == record
