"""What tests share: records and cells to build on."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from weighbridge.bench.analysis import summary
from weighbridge.bench.analysis.summary import Run, Summary
from weighbridge.bench.core import Cell, Target
from weighbridge.bench.core.process import Process
from weighbridge.bench.core.record import Noise, Parity, Provenance, Record
from weighbridge.bench.measure import environment
from weighbridge.bench.run.jobs import PATIENCE
from weighbridge.bench.storage import coding
from weighbridge.bench.storage.migrations import CUT, OF_THE_FIRST, STEADY, processes_of

with suppress(ImportError):  # what `pytest --benchmark-only` collects here needs none of what tests need
    from hypothesis import settings

    settings.register_profile("shared-machine", deadline=None)  # another process's load is not a failure
    settings.load_profile("shared-machine")


@pytest.fixture(autouse=True)
def nobody_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests run beside each other, which slows the piece of work by which neighbours outside are known."""
    monkeypatch.setattr(environment, "is_guest", lambda: False)


def pytest_ignore_collect(config: pytest.Config) -> bool | None:
    """`pytest --benchmark-only` weighs a suite: nothing here is a benchmark."""
    lone = config.getoption("--benchmark-only", default=False) and not config.getoption("file_or_dir")
    return lone or None


TARGET = Target(metric="r2", value=0.5, higher_is_better=True, source="made up for tests")
ABOUT = Provenance(
    source="made up.", licence="none", weights="trained", item="row", target=TARGET, baseline=TARGET
)  # fmt: skip


FACTS = {
    "threads": 2, "weights_hash": "w", "batch_hash": "b", "precision": "float32", "affinity": [0, 1],
    "scope": "model forward", "host_allocator": "kept",
}  # fmt: skip


def in_three(steps: int) -> list[list[int]]:
    """Blocks of one step, of three processes of about as many."""
    return [[1] * len(range(first, steps, 3)) for first in range(3) if first < steps]


def make_cell(backend: str = "fake", **changes: object) -> Cell:
    fields: dict[str, object] = {
        "task": "tabular-regression",
        "preset": "small",
        "backend": backend,
        "scenario": "infer",
        "precision": "fp32",
        "batch_size": 8,
        "device": "cpu",
    }
    return Cell(**{**fields, **changes})  # type: ignore[arg-type]


def make_record(backend: str = "fake", step_s: float | list[float] = 0.01, **changes: object) -> Record:
    """A record of ten equal steps, or of the steps given, each in a block of its own, of three processes.

    `changes` may say of all processes together what a record holds of each: as schema 3 did.
    """
    fields: dict[str, object] = {
        "cell": make_cell(backend),
        "status": "ok",
        "compile_s": 0.5,
        "step_s": step_s if isinstance(step_s, list) else [step_s] * 10,
        "queued_step_s": [0.01 if isinstance(step_s, list) else step_s] * 3,
        "items_per_step": 8,
        "pairing": "interleaved",
        "stopped_by": "converged",
        "settled": True,
        "score": {"r2": 0.5},
        "parity": Parity(ratio=1.0, limit=2.0, passed=True, output="prediction"),
        "host_peak_bytes": 100 * 2**20,
        "facts": dict(FACTS),
        "about": ABOUT,
        "started": "2026-11-22T00:00:00+00:00",
    }
    fields |= changes
    fields.setdefault("blocks", in_three(len(fields["step_s"])))  # type: ignore[arg-type]
    flat = {name: fields.pop(name, None) for name in (*OF_THE_FIRST, *STEADY, *CUT)}
    processes = [Process(**each) for each in processes_of(**flat)]  # type: ignore[arg-type]
    return Record(**{"processes": processes, **fields})  # type: ignore[arg-type]


def make_thrice(backend: str = "fake", step_s: float | list[float] = 0.01, **changes: object) -> Record:
    """As `make_record`, of three processes, and of a kind whose whole runs differ by 2 %: what the gate can judge."""
    steps: list[float] = step_s if isinstance(step_s, list) else [step_s] * 9
    third = len(steps) // 3
    blocks = [[1] * third, [1] * third, [1] * (len(steps) - 2 * third)] if steps else []
    return make_record(backend, steps, **{"blocks": blocks, "noise": Noise(between_runs=0.02), **changes})


def brief(record: Record) -> Summary:
    return summary.parse(coding.encoder.encode(record))


def run_of(*records: Record) -> Run:
    return Run(path=Path("run"), cells={record.cell: brief(record) for record in records}, unreadable=[])


def workers_of(parent: psutil.Process) -> list[psutil.Process]:
    """Its children that weigh: neither the one that describes nor the guard."""
    found: list[psutil.Process] = []
    for each in parent.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "weighbridge.bench.run.worker" in each.cmdline():
                found.append(each)
    return found


@pytest.fixture(autouse=True, scope="session")
def worker_of_nobody() -> None:
    """A pytest that a test starts is no worker of pytest-xdist: as one it would measure nothing.

    Beside another worker nothing that a test weighs waits for it to leave.
    """
    if "PYTEST_XDIST_WORKER" in os.environ:
        os.environ[PATIENCE] = "0"
    for name in [name for name in os.environ if name.startswith("PYTEST_XDIST_")]:
        del os.environ[name]


@pytest.fixture
def cell() -> Cell:
    return make_cell()


class Silent:
    """A watcher that is told and tells nobody."""

    def started(self, cell: Cell) -> None: ...

    def prepared(self, cell: Cell, took_s: float) -> None: ...

    def phase(self, name: str) -> None: ...

    def progress(self, fraction: float) -> None: ...

    def finished(self, record: Record) -> None: ...
