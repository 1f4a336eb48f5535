"""`--weights`: a file's weights in place of a model's own, and what is said of one that does not fit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.conftest import Silent
from weighbridge.backends.fake import Fake
from weighbridge.bench.core import Arrays, WeighbridgeError
from weighbridge.bench.core.record import Record
from weighbridge.bench.run import jobs
from weighbridge.bench.run.plan import Filters
from weighbridge.bench.run.runner import Run
from weighbridge.tasks.tabular_regression import TASK


def planned(weights: Path, **filters: list[str]) -> jobs.Planned:
    return jobs.weighing(jobs.prepare("fake", Filters(scenarios=["parity"], batch_sizes=[4], **filters)), str(weights))


def weighed(weights: Path, folder: Path) -> Record:
    plan = planned(weights, backends=["fake"])
    run = Run(jobs.job(plan, 300.0), folder / "records.jsonl", Silent())
    (record,) = run.weigh(plan.cells)
    return record


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    (tmp_path / "hub").mkdir()
    save_file(own(), tmp_path / "hub" / "model.safetensors")
    return tmp_path / "hub"


def own(scale: float = 2.0) -> Arrays:
    weights = Fake().weights(TASK.models["small"], {}, None)
    return {name: np.float32(scale) * array for name, array in weights.items()}


def test_a_folder_and_its_file_are_the_same_weights_and_not_those_of_the_task(hub: Path, tmp_path: Path) -> None:
    given, usual = weighed(hub, tmp_path / "one"), jobs.prepare("fake", Filters(scenarios=["parity"], batch_sizes=[4]))
    assert planned(hub, backends=["fake"]).cells == planned(hub / "model.safetensors", backends=["fake"]).cells
    assert given.status == "ok", given.reason
    assert given.cell.id not in {cell.id for cell in usual.cells}
    assert f"weights {given.cell.weights}" in str(given.cell)
    assert given.about is not None
    assert given.about.weights == "given"
    save_file(own(3.0), hub / "model.safetensors")
    changed = weighed(hub, tmp_path / "two")
    assert changed.cell.weights != given.cell.weights
    assert changed.parity is not None
    assert given.parity is not None
    assert changed.parity.scale != given.parity.scale, "the file's own numbers were computed with"


def test_weights_that_do_not_fit_end_the_run_and_name_the_first_tensor(tmp_path: Path) -> None:
    weights = own()
    del weights["head.weight"]
    save_file(weights, tmp_path / "wrong.safetensors")
    with pytest.raises(WeighbridgeError, match=r"wrong\.safetensors: .*lack head\.weight"):
        weighed(tmp_path / "wrong.safetensors", tmp_path / "run")


def test_what_is_no_file_and_what_is_for_several_models_is_refused(hub: Path, tmp_path: Path) -> None:
    for name in ("none.safetensors", "."):
        with pytest.raises(WeighbridgeError, match="no safetensors file"):
            planned(tmp_path / name)
    with pytest.raises(WeighbridgeError, match="2 models"):
        jobs.weighing(
            jobs.prepare("fake", Filters(presets=["small", "base"], tasks=["tabular-regression"], backends=["fake"])),
            str(hub),
        )
