"""Joules by a folder like the kernel's and by a stand-in for NVML."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests.conftest import make_cell, make_record
from tests.measure.test_device import MODEL
from tests.scenarios.test_steps_measure import OPENED, Script, go_through, new
from weighbridge.backends.fake import Fake
from weighbridge.bench.analysis import ratios
from weighbridge.bench.core import Cell
from weighbridge.bench.measure import energy
from weighbridge.bench.measure.energy import Counter
from weighbridge.bench.report import csv
from weighbridge.bench.run.worker import Worker
from weighbridge.bench.scenarios.base import Request
from weighbridge.bench.scenarios.steps.answer import StepsAnswers
from weighbridge.bench.scenarios.steps.requests import Energy


def zone(root: Path, name: str, label: str, energy_uj: int | None, largest_uj: int = 10**9) -> Path:
    """A zone of the powercap tree; without `energy_uj` its counter cannot be read."""
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{label}\n")
    (folder / "max_energy_range_uj").write_text(f"{largest_uj}\n")
    if energy_uj is not None:
        (folder / "energy_uj").write_text(f"{energy_uj}\n")
    return folder


def test_packages_and_their_memory_are_counted_and_nothing_twice(tmp_path: Path) -> None:
    for name, label in (
        ("intel-rapl:0", "package-0"),
        ("intel-rapl:0:0", "core"),
        ("intel-rapl:0:1", "dram"),
        ("intel-rapl:1", "package-1"),
        ("intel-rapl:2", "psys"),
    ):
        zone(tmp_path, name, label, 5)
    assert [counter.name for counter in energy.rapl(tmp_path)] == ["package-0", "dram", "package-1"]


@pytest.mark.parametrize("present", [[], ["dram"], ["core"]])
def test_without_a_package_nothing_is_counted(tmp_path: Path, present: list[str]) -> None:
    for index, label in enumerate(present):
        zone(tmp_path, f"intel-rapl:{index}", label, 5)
    assert energy.rapl(tmp_path) == []


def test_one_package_that_cannot_be_read_voids_the_sum(tmp_path: Path) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 5)
    zone(tmp_path, "intel-rapl:1", "package-1", None)
    assert energy.rapl(tmp_path) == []
    assert energy.rapl(tmp_path / "absent") == []


def test_joules_a_step_are_those_of_the_block_by_its_steps(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)

    def block() -> int:
        (folder / "energy_uj").write_text(str(int((folder / "energy_uj").read_text()) + 6_000_000))
        return 3

    now = iter([0.0, 0.6, 1.2])  # the end is set; one block is not enough; two are
    assert energy.per_step(energy.rapl(tmp_path), block, 1.0, lambda: next(now)) == pytest.approx(2.0)


def test_a_counter_that_becomes_unreadable_is_no_figure(tmp_path: Path) -> None:
    folder = zone(tmp_path, "intel-rapl:0", "package-0", 1)
    meters = energy.rapl(tmp_path)

    def block() -> int:
        (folder / "energy_uj").unlink()
        return 1

    assert energy.per_step(meters, block, 0.0) is None


def counter(wraps_after: int | None) -> Counter:
    return Counter(name="c", read=lambda: 0, joules=1e-6, wraps_after=wraps_after)


@given(st.integers(1, 10**12), st.data())
def test_a_wrap_is_undone(largest: int, data: st.DataObject) -> None:
    first, spent = (
        data.draw(st.integers(0, largest - 1)),
        data.draw(st.integers(1, largest - 1) if largest > 1 else st.just(0)),
    )
    found = energy.spent_j([counter(largest)], [first], [(first + spent) % largest])
    assert found == (pytest.approx(spent * 1e-6) if spent else None)


def test_what_did_not_move_or_went_back_is_unknown_and_never_0() -> None:
    assert energy.spent_j([counter(None)], [5], [5]) is None
    assert energy.spent_j([counter(None)], [5], [4]) is None
    assert energy.spent_j([], [], []) is None


class FakeNvml:
    """As much of NVML as is asked; `pids` are those of each device's processes, `counts` whether it has a counter."""

    class NVMLError(Exception):
        """As NVML's."""

    def __init__(self, pids: list[list[int]], counts: bool = True, present: bool = True) -> None:
        self.pids, self.counts, self.present, self.millijoules = pids, counts, present, 1000

    def nvmlInit(self) -> None:
        if not self.present:
            raise self.NVMLError

    def nvmlDeviceGetCount(self) -> int:
        return len(self.pids)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, handle: int) -> str:
        return f"device {handle}"

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid) for pid in self.pids[handle]]

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: int) -> int:
        if not self.counts:
            raise self.NVMLError
        self.millijoules += 500
        return self.millijoules


def test_the_device_that_this_process_computes_on_is_the_one_that_is_read() -> None:
    (meter,) = energy.nvml(FakeNvml([[1], [os.getpid(), 2]]))
    assert meter.name == "device 1"
    (alone,) = energy.nvml(FakeNvml([[]]))
    assert alone.name == "device 0"
    assert energy.per_step([alone], lambda: 2, 0.0) == pytest.approx(0.25)


@pytest.mark.parametrize(
    "library",
    [FakeNvml([[1]], counts=False), FakeNvml([[1]], present=False), FakeNvml([]), FakeNvml([[1], [2]])],
    ids=["no counter", "no driver", "no device", "not on any of them"],
)
def test_without_a_counter_of_our_device_there_is_no_meter(library: FakeNvml) -> None:
    assert energy.nvml(library) == []


def test_a_counter_that_fails_later_is_no_figure() -> None:
    library = FakeNvml([[]])
    meters = energy.nvml(library)
    library.counts = False
    assert energy.per_step(meters, lambda: 1, 0.0) is None


def test_a_tpu_tells_nothing() -> None:
    assert energy.counters("tpu") == []


class Metered(Script):
    """A worker with a meter, whose processes count these joules."""

    def __init__(self, *joules: float | None) -> None:
        super().__init__([0.1])
        self.joules = list(joules)

    def told(self, request: Request[Any]) -> Any:
        return self.joules.pop(0) if isinstance(request, Energy) else super().told(request)


@pytest.mark.parametrize(
    ("joules", "expected"), [((2.0,), 2.0), ((1.0, None, 3.0), 2.0), ((None,), None)], ids=["one", "several", "none"]
)
def test_a_record_has_the_median_of_its_processes(joules: tuple[float | None, ...], expected: float | None) -> None:
    script, weighing = Metered(*joules), new()
    for _ in joules:
        opened = msgspec.structs.replace(OPENED, energy_meter="package-0")
        weighing.begin(script, opened)
        weighing.get_ready()
        weighing.block()
        weighing.finish()
    record = weighing.record(status="ok")
    assert record.energy_j_per_step == expected
    assert record.facts["energy_meter"] == "package-0"


def test_without_a_meter_nobody_is_asked(cell: Cell) -> None:
    script = Script([0.1])
    record = go_through(new(cell), script).record(status="ok")
    assert "Energy" not in script.kinds()
    assert record.energy_j_per_step is None
    assert "energy_meter" not in record.facts


def test_the_spreadsheet_has_a_figure_or_nothing() -> None:
    for joules, expected in ((1.5, 1.5), (None, None)):
        (row,) = ratios.rows([make_record(energy_j_per_step=joules)], "fake")
        assert csv.values(row)["energy_j_per_step"] == expected


def test_a_worker_counts_queued_steps_of_its_own_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter that moves by 1 J a reading: 1 J over the five steps of one block."""
    save_file(Fake().weights(MODEL, {}, None), tmp_path / "weights.safetensors")
    worker = Worker(lambda answer: None)
    worker.cell = make_cell(batch_size=2)
    worker.session = session = Fake().open(MODEL, tmp_path / "weights.safetensors", worker.cell)
    worker.rows = {"features": np.ones((2, 10), np.float32)}
    worker.answers = StepsAnswers(worker)
    readings = iter(range(10))
    worker.answers.meters = [Counter(name="c", read=lambda: next(readings), joules=1.0)]
    monkeypatch.setattr(energy, "per_step", partial(energy.per_step, at_least_s=0.0))
    assert worker.answer(Energy(steps=5)) == 0.2
    assert session.facts()["steps"] == 5
