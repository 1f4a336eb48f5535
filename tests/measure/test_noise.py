from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from tests.conftest import make_cell
from weighbridge.bench.core import Cell
from weighbridge.bench.core.record import DEFAULT_FLOOR, Noise
from weighbridge.bench.measure import environment, noise
from weighbridge.bench.measure.noise import LOADED_FLOOR, Calibration, Kind, Sampler
from weighbridge.bench.storage.calibration import every, keep, load, save, so_far

IDENTITY = {"machine": "m", "cpu": "c", "cpus": 2, "memory_bytes": 2**30, "system": "s"}
CELL = make_cell()
KIND = Kind(
    cell=CELL,
    measured="2026-11-22T00:00:00+00:00",
    pairs=40,
    floor=0.012,
    false_verdicts=0.025,
    between_runs=0.03,
    cpus_elsewhere=0.1,
    ratios=[(1.0, 0.99, 1.01), (0.8, 0.7, 0.9)],
)


def calibration(*kinds: Kind) -> Calibration:
    named = {str(kind.cell): kind for kind in kinds}
    return Calibration(**IDENTITY, tier="quick", cpu_mhz=3000, kinds=named)  # type: ignore[arg-type]


CALIBRATION = calibration(KIND)


def kind(cell: Cell, floor: float | None, **changes: object) -> Kind:
    return msgspec.structs.replace(KIND, cell=cell, floor=floor, **changes)


@pytest.fixture(autouse=True)
def this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noise, "identity", lambda: dict(IDENTITY))
    monkeypatch.setattr(environment, "cpu_mhz", lambda: 3000)


def test_a_machine_as_it_was_calibrated_warns_of_nothing() -> None:
    found = noise.noise(CALIBRATION, CELL, [0.05, None, 0.2])
    assert found == Noise(floor=0.012, calibrated=KIND.measured, cpus_elsewhere=0.2, between_runs=0.03, warnings=[])


def test_a_cell_goes_by_its_own_kind_whatever_its_seed() -> None:
    other = kind(make_cell(task="semantic-search"), 0.165)
    for cell in (CELL, msgspec.structs.replace(CELL, seed=7)):
        assert noise.noise(calibration(KIND, other), cell, [0.1]).floor == 0.012


def test_a_backend_that_was_not_calibrated_goes_by_its_own_cells_floor_and_says_whose() -> None:
    louder = kind(make_cell(task="semantic-search"), 0.165)
    found = noise.noise(calibration(KIND, louder), make_cell("null"), [0.1])
    assert (found.floor, found.between_runs) == (0.012, None)
    (warning,) = found.warnings
    assert warning.startswith(f"null was not calibrated, and goes by the floor of {CELL}, 1.2%")
    assert warning.endswith("weighbridge calibrate --tasks tabular-regression --backends null")


def test_another_cell_goes_by_the_largest_floor_of_its_device_and_says_whose() -> None:
    louder = kind(make_cell(task="semantic-search"), 0.165)
    elsewhere = kind(make_cell(device="cuda"), 0.5)
    found = noise.noise(calibration(KIND, louder, elsewhere), make_cell(task="image-classification"), [0.1])
    assert found.floor == 0.165
    (warning,) = found.warnings
    assert "image-classification[small] fake" in warning
    assert "semantic-search[small] fake" in warning
    assert noise.noise(calibration(elsewhere), CELL, [0.1]).floor == DEFAULT_FLOOR


def test_a_floor_that_lets_too_much_through_is_not_gone_by() -> None:
    loud = kind(CELL, 0.012, false_verdicts=0.06)
    found = noise.noise(calibration(loud), CELL, [0.1])
    assert found.floor == pytest.approx(0.25)  # of the pair at 0.8
    (warning,) = found.warnings
    assert "6% of its equal pairs had a verdict" in warning
    assert noise.noise(calibration(kind(CELL, 0.012, false_verdicts=0.05)), CELL, [0.1]).floor == 0.012


def test_whole_runs_alone_give_no_floor() -> None:
    runs = Kind(cell=CELL, between_runs=0.04, runs=20)
    found = noise.noise(calibration(runs), CELL, [0.1])
    assert (found.floor, found.between_runs, found.warnings) == (DEFAULT_FLOOR, 0.04, [noise.NOT_CALIBRATED])


def test_without_calibration_a_default_stands_in_and_the_command_is_named() -> None:
    found = noise.noise(None, CELL, [None, 0.1])
    assert (found.floor, found.calibrated, found.cpus_elsewhere) == (DEFAULT_FLOOR, "", 0.1)
    assert len(found.warnings) == 1
    assert f"{DEFAULT_FLOOR:.1%}" in found.warnings[0]
    assert "weighbridge calibrate" in found.warnings[0]


@pytest.mark.parametrize(
    ("name", "then"), [("machine", "m2"), ("cpu", "c2"), ("cpus", 4), ("memory_bytes", 1), ("system", "s2")]
)
def test_another_machine_is_named_by_what_changed(name: str, then: object) -> None:
    (warning,) = noise.noise(msgspec.structs.replace(CALIBRATION, **{name: then}), CELL, [0.1]).warnings
    assert warning.startswith(f"{name} was {then} at calibration and is {IDENTITY[name]} now")
    assert "weighbridge calibrate" in warning


@pytest.mark.parametrize(
    ("then", "now", "warns"),
    [(0.1, 0.2, False), (0.1, 0.3, True), (1.0, 1.1, False), (None, 0.1, False), (None, 0.2, True), (0.1, None, False)],
)
def test_a_busier_machine_warns(then: float | None, now: float | None, warns: bool) -> None:
    found = noise.noise(calibration(msgspec.structs.replace(KIND, cpus_elsewhere=then)), CELL, [now])
    assert [warning.split(" processors")[0] for warning in found.warnings] == (
        [f"other processes used {now:.1f}"] if warns else []
    )
    assert found.floor == (LOADED_FLOOR if warns else KIND.floor)


def test_a_load_never_lowers_the_floor() -> None:
    loud = calibration(kind(CELL, LOADED_FLOOR * 2))
    assert noise.noise(loud, CELL, [1.5]).floor == LOADED_FLOOR * 2
    assert noise.noise(None, CELL, [1.5]).floor == LOADED_FLOOR


def test_the_busiest_process_counts() -> None:
    (warning,) = noise.noise(CALIBRATION, CELL, [0.0, 0.9, 0.1]).warnings
    assert warning.startswith("other processes used 0.9 processors while timing, 0.1 when calibrated")


@pytest.mark.parametrize(
    ("then", "now", "warns"), [(3000, 2800, False), (3000, 2600, True), (None, 2600, False), (3000, None, False)]
)
def test_a_slower_clock_warns(
    monkeypatch: pytest.MonkeyPatch, then: float | None, now: float | None, warns: bool
) -> None:
    monkeypatch.setattr(environment, "cpu_mhz", lambda: now)
    warnings = noise.warnings(msgspec.structs.replace(CALIBRATION, cpu_mhz=then))
    assert warnings == (["processor at 2600 MHz, 3000 MHz at calibration"] if warns else [])


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    assert load(tmp_path, "quick") is None
    path = save(tmp_path, CALIBRATION)
    assert load(tmp_path, "quick") == CALIBRATION
    other = calibration(kind(CELL, 0.03))
    save(tmp_path, other)
    assert load(tmp_path, "quick") == other
    assert list(path.parent.iterdir()) == [path]


OLD = b'{"machine": "m", "cpu": "c", "cpus": 2, "tier": "quick", "cells": ["x"], "pairs": 40, "floor": 0.001}'


@pytest.mark.parametrize("content", [b"", b"{", b"{}", b'{"machine": 3}', b"\xff\xfe", b"[]", OLD])
def test_a_damaged_or_older_calibration_is_ignored_and_says_what_to_type(tmp_path: Path, content: bytes) -> None:
    save(tmp_path, CALIBRATION).write_bytes(content)
    found = noise.noise(load(tmp_path, "quick"), CELL, [0.1])
    assert found.floor == DEFAULT_FLOOR
    assert "calibrate again" in found.warnings[0]
    (only,) = every(tmp_path)
    assert "calibrate again" in only.note


def test_every_tier_and_allocator_has_a_calibration_of_its_own(tmp_path: Path) -> None:
    stock = msgspec.structs.replace(CALIBRATION, allocator="stock")
    for each in (CALIBRATION, stock):
        save(tmp_path, each)
    assert load(tmp_path, "quick") == CALIBRATION
    assert load(tmp_path, "quick", "stock") == stock
    assert load(tmp_path, "strict") is None
    assert sorted(each.allocator for each in every(tmp_path)) == ["keep", "stock"]


def test_kinds_are_added_and_those_of_another_machine_are_not(tmp_path: Path) -> None:
    other = kind(make_cell("null"), 0.03)
    keep(tmp_path, [KIND], "quick")
    keep(tmp_path, [other], "quick")
    assert so_far(tmp_path, "quick").kinds == {str(each.cell): each for each in (KIND, other)}
    save(tmp_path, msgspec.structs.replace(CALIBRATION, cpu="another"))
    keep(tmp_path, [other], "quick")
    assert list(so_far(tmp_path, "quick").kinds) == [str(other.cell)]


def test_machines_have_a_calibration_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_MACHINE", "one")
    save(tmp_path, CALIBRATION)
    monkeypatch.setenv("WEIGHBRIDGE_MACHINE", "two")
    assert load(tmp_path, "quick") is None


def test_this_machine_has_an_identity_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert noise.identity() == noise.identity()
    assert noise.identity().keys() == IDENTITY.keys()
    assert noise.identity()["cpus"] == len(environment.usable_cpus())


class Process:
    """A busy process of another parent: it is a shell's child."""

    def __init__(self) -> None:
        spin = f"{sys.executable} -c 'print(flush=True)\nwhile True: pass' & echo $!; wait"
        self.parent = subprocess.Popen(["sh", "-c", spin], stdout=subprocess.PIPE, text=True)
        assert self.parent.stdout
        self.pid = int(next(line for line in self.parent.stdout if line.strip()))
        self.parent.stdout.readline()

    def cpu_s(self) -> float:
        return environment.process_cpu_s(self.pid)

    def kill(self) -> None:
        subprocess.run(["kill", "-9", str(self.pid)], check=True)
        self.parent.wait()
        assert self.parent.stdout
        self.parent.stdout.close()


@pytest.mark.alone
def test_what_others_do_is_elsewhere_and_what_the_suite_does_is_not() -> None:
    """Two samplers over the same second, so that whatever else this machine does is in both."""
    busy = Process()
    try:
        counted, own = Sampler([]), Sampler([busy])
        before, begin = busy.cpu_s(), time.monotonic()
        until = time.process_time() + 0.2
        while time.process_time() < until:  # the suite's own work, too
            pass
        time.sleep(1.0)
        elsewhere, beside = counted.cpus_elsewhere(), own.cpus_elsewhere()
        share = (busy.cpu_s() - before) / (time.monotonic() - begin)
    finally:
        busy.kill()
    assert elsewhere is not None
    assert beside is not None
    assert share > 0.2
    assert elsewhere >= share - 0.1
    assert elsewhere - beside == pytest.approx(share, abs=0.1) or beside == 0.0


def test_the_suites_own_work_is_not_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    now, busy, own = [100.0], [50.0], [3.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(time, "process_time", lambda: 0.0)
    monkeypatch.setattr(environment, "busy_cpu_s", lambda: busy[0])
    worker = type("Worker", (), {"cpu_s": lambda self: own[0]})()
    sampler = Sampler([worker])
    now[0], busy[0], own[0] = 102.0, 53.0, 5.0
    assert sampler.cpus_elsewhere() == 0.5
    now[0] = 100.05
    assert sampler.cpus_elsewhere() is None
