"""Devices, without one: `fake` runs on `cuda` with a queue and an allocator of its own, on its own clock."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.conftest import Silent, make_cell
from weighbridge.backends import fake
from weighbridge.backends.fake import CAPACITY_VARIABLE, DISPATCH_S, STEP_S, DeviceSession, Fake
from weighbridge.bench.analysis import knee, ratios
from weighbridge.bench.cli import sweep
from weighbridge.bench.core import ModelSpec, Seeded
from weighbridge.bench.core.effort import QUICK
from weighbridge.bench.core.record import Record
from weighbridge.bench.measure import clock, environment, suspicion
from weighbridge.bench.run import jobs
from weighbridge.bench.run.folders import Options
from weighbridge.bench.run.jobs import Planned
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.run.runner import Run
from weighbridge.bench.scenarios.steps.answer import StepsAnswers
from weighbridge.bench.scenarios.steps.batches import BATCHES
from weighbridge.bench.scenarios.steps.requests import Suspect
from weighbridge.bench.storage import journals

CONFIG = {"in_features": 10, "hidden": [64, 64], "out_features": 1}
MODEL = ModelSpec(architecture="mlp", config=CONFIG, weights=Seeded(seed=0))
WEIGHT_BYTES = 4 * (10 * 64 + 64 + 64 * 64 + 64 + 64 + 1)
ROW_BYTES, ACTIVATION_BYTES = 4 * 10, 4 * (64 + 64 + 1)


@pytest.fixture(autouse=True)
def has_every_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "has_device", lambda device: True)


@pytest.fixture
def session(tmp_path: Path) -> DeviceSession:
    weights = tmp_path / "weights.safetensors"
    save_file(Fake().weights(MODEL, {}, None), weights)
    opened = Fake().open(MODEL, weights, make_cell(device="cuda"))
    assert isinstance(opened, DeviceSession)
    return opened


def batch(rows: int = 8) -> dict[str, np.ndarray]:
    return {"features": np.ones((rows, 10), np.float32)}


def planned(*sizes: int) -> Planned:
    return jobs.prepare("fake", Filters(device="cuda", backends=["fake"], batch_sizes=sizes or [8]))


def weighed(tmp_path: Path, *sizes: int) -> Iterator[Record]:
    asked = planned(*sizes)
    return Run(jobs.job(asked, 60.0, QUICK), tmp_path / "records.jsonl", Silent()).weigh(asked.cells)


class Careless(DeviceSession):
    """Calls a step done when it was handed in."""

    def sync(self, y: np.ndarray) -> None:
        """Does not wait."""


def test_a_session_that_does_not_wait_would_look_fifty_times_as_fast(session: DeviceSession) -> None:
    right = clock.latency_block(session, [session.to_device(batch())], 20).samples
    careless = Careless(session.weights, CONFIG, "", "cuda")
    wrong = clock.latency_block(careless, [careless.to_device(batch())], 20).samples
    assert min(right) > STEP_S
    assert max(wrong[1:]) == pytest.approx(DISPATCH_S)


def test_what_was_not_waited_for_cannot_be_read(session: DeviceSession) -> None:
    y = session.step(session.to_device(batch()))
    with pytest.raises(RuntimeError, match="before it was done"):
        session.to_host(y)
    session.sync(y)
    assert session.to_host(y)["prediction"].shape == (8,)


def test_a_queue_hides_handing_in_and_the_device_works_without_a_pause(session: DeviceSession) -> None:
    x = session.to_device(batch())
    clock.first_step(session, x)
    latency = np.mean(clock.latency_block(session, [x], 50).samples)
    queued = clock.queued_block(session, [x], 50).samples[0]
    assert latency == pytest.approx(STEP_S + DISPATCH_S, rel=1e-3)
    assert queued == pytest.approx(STEP_S + DISPATCH_S / 50, rel=1e-3)


def test_peaks_are_of_what_lives_and_of_the_blocks_that_hold_it(session: DeviceSession) -> None:
    x = session.to_device(batch(100))
    session.sync(session.step(x))
    assert session.device_peak_bytes() == WEIGHT_BYTES + 100 * (ROW_BYTES + ACTIVATION_BYTES)
    assert session.device_reserved_bytes() % fake.BLOCK_BYTES == 0
    assert 0 <= session.device_reserved_bytes() - session.device_peak_bytes() < fake.BLOCK_BYTES
    assert session.reset_peak_memory()
    assert session.device_peak_bytes() == WEIGHT_BYTES + 100 * ROW_BYTES


def test_a_record_of_a_device_has_its_memory_and_both_figures(tmp_path: Path) -> None:
    (record,) = weighed(tmp_path)
    assert record.status == "ok", record.reason
    assert record.device_peak_bytes
    assert record.device_reserved_bytes
    assert WEIGHT_BYTES < record.device_peak_bytes <= record.device_reserved_bytes
    assert record.facts["device_peaks_since"] == "steady state"
    assert min(record.step_s) > STEP_S
    assert 0 < max(record.queued_step_s) < np.median(record.step_s)
    (row,) = ratios.rows([record], "fake")
    assert row.rate == pytest.approx(8 / np.median(record.queued_step_s), rel=1e-2)


def test_the_peak_is_of_the_steady_state_and_not_of_the_scoring_before_it(tmp_path: Path) -> None:
    """Scoring puts every batch of the split on the device; `fake` keeps them all, so the reset shows."""
    (record,) = weighed(tmp_path, 4)
    first_batch_only = WEIGHT_BYTES + 4 * (BATCHES * ROW_BYTES + ACTIVATION_BYTES)
    assert record.device_peak_bytes is not None
    assert first_batch_only <= record.device_peak_bytes <= first_batch_only + 88 * ROW_BYTES


def test_a_host_says_nothing_of_a_device(tmp_path: Path) -> None:
    asked = jobs.prepare("fake", Filters(backends=["fake"], batch_sizes=[2]))
    (record,) = Run(jobs.job(asked, 60.0, QUICK), tmp_path / "records.jsonl", Silent()).weigh(asked.cells)
    assert (record.device_peak_bytes, record.device_reserved_bytes) == (None, None)
    assert "device_peaks_since" not in record.facts


def test_a_sweep_ends_typed_at_a_full_device_and_names_the_knee(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device of 128 KiB: weights take 20 KB and a row 556 B, so that batch 256 does not fit."""
    monkeypatch.setenv(CAPACITY_VARIABLE, str(2**17))
    done = sweep.weigh(planned(1), Options(out=tmp_path), 1024, None)
    last = done.records[-1]
    assert (last.cell.batch_size, last.status) == (256, "oom")
    assert last.reason.startswith("RuntimeError: fake device memory exhausted: ")
    assert "host_limit_bytes" not in last.facts
    (found,) = knee.curves(ratios.rows(done.records, "fake"), 1024)
    assert (found.knee, found.end) == (32, "oom at 256")
    assert [record.cell.batch_size for record in journals.load(tmp_path)] == [1, 2, 4, 8, 16, 32, 64, 128, 256]


def test_suites_of_devices_have_base_presets_in_two_precisions() -> None:
    for suite, device in (("gpu", "cuda"), ("tpu", "tpu")):
        cells = jobs.prepare(suite, Filters()).cells
        assert {cell.device for cell in cells} == {device}
        assert {"fp32", "bf16"} <= {cell.precision for cell in cells if cell.preset.startswith("base")}
        assert {"torch", "torch-compile", "flax"} <= {cell.backend for cell in cells}


def test_on_a_tpu_what_cannot_run_there_is_skipped_with_a_reason(tmp_path: Path) -> None:
    planned_cells = jobs.prepare("tpu", Filters(tasks=["tabular-regression"]))
    job = jobs.job(planned_cells, 60.0, QUICK)
    run = Run(job, tmp_path / "records.jsonl", Silent())
    reasons = {cell.backend: run.why_not(cell) for cell in planned_cells.cells}
    assert "does not run on tpu" in (reasons["torch"] or "")
    assert reasons["flax"] is None


def test_the_audit_is_told_of_the_device(session: DeviceSession, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    def reason(*given: object) -> str:
        told.append(given[-1])
        return ""

    monkeypatch.setattr(suspicion, "reason", reason)
    host = SimpleNamespace(session=session, cell=make_cell(device="cuda"), rows=batch(16))
    StepsAnswers(cast(Any, host)).answer(Suspect(step_s=STEP_S))
    assert told == ["cuda"]
