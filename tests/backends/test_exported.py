"""Sessions whose graphs run in another runtime: shapes, sampling, and what a process with everything kept imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests import nouns
from tests.conftest import make_cell
from tests.contract.test_backends import LLAMA
from tests.parity.cases.unet import LABELLED
from weighbridge.bench.core import Arrays, Backend, ModelSpec, Seeded, Session
from weighbridge.bench.measure import parity

NAMES = [name for name in ("onnxruntime", "openvino", "torchax") if name in nouns.backends()]
UNET = ModelSpec(
    architecture="unet",
    config={**LABELLED, "scheduler": {"num_train_timesteps": 37}, "sampling": {"steps": 4, "guidance": 2.0}},
    weights=Seeded(seed=2),
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made: dict[str, Path] = {}
    for model in (LLAMA, UNET):
        made[model.architecture] = tmp_path_factory.mktemp("weights") / "weights.safetensors"
        save_file(nouns.reference("torch").weights(model, {}, None), made[model.architecture])
    return made


def outputs(session: Session, batch: Arrays) -> Arrays:
    y = session.step(session.to_device(batch))
    session.sync(y)
    return session.to_host(y)


@pytest.fixture(params=NAMES)
def backend(request: pytest.FixtureRequest) -> Backend:
    return nouns.backend(request.param)


def tokens(rows: int, positions: int) -> Arrays:
    return {"input_ids": np.random.default_rng(rows).integers(3, 97, (rows, positions))}


def test_another_length_is_computed_right_by_a_program_more(backend: Backend, weights: dict[str, Path]) -> None:
    session = backend.open(LLAMA, weights["llama"], make_cell(backend.name))
    reference = nouns.backend("torch").open(LLAMA, weights["llama"], make_cell("torch"))
    counts: list[int | None] = []
    for rows, positions in ((1, 7), (3, 7), (3, 5), (2, 11)):
        batch = tokens(rows, positions)
        np.testing.assert_allclose(
            outputs(session, batch)["logits"], outputs(reference, batch)["logits"], rtol=1e-4, atol=1e-5
        )
        counts.append(session.programs())
    assert counts == ([1, 2, 3, 4] if backend.program_a_shape else [1, 1, 2, 2])


def test_what_a_step_gave_is_left_alone_by_the_next(backend: Backend, weights: dict[str, Path]) -> None:
    session = backend.open(LLAMA, weights["llama"], make_cell(backend.name))
    first, second = (session.to_device(tokens(rows, 7)) for rows in (3, 3))
    other = session.to_device({"input_ids": tokens(3, 7)["input_ids"][::-1].copy()})
    session.step(first)
    y = session.step(second)
    before = {name: array.copy() for name, array in session.to_host(y).items()}
    session.sync(session.step(other))
    assert all(np.array_equal(before[name], array) for name, array in session.to_host(y).items())


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")  # torchax asks JAX for it
def test_a_models_own_sampling_runs_around_it(backend: Backend, weights: dict[str, Path]) -> None:
    draw = np.random.default_rng(0)
    batch: Arrays = {"noise": draw.normal(size=(2, 8, 8, 2)).astype(np.float32), "label": np.array([0, 1])}

    def image(name: str, precision: str = "fp32") -> Arrays:
        cell = make_cell(name, scenario="generate", precision=precision)
        session = nouns.backend(name).open(UNET, weights["unet"], cell)
        found = outputs(session, batch)
        assert session.facts()["scope"] == "all steps of sampling"
        return found

    verdict = parity.judge(image(backend.name), image("torch"), image("torch", "fp64"), "", "fp32")
    assert verdict.passed, verdict


LATER = """
import json, sys
import numpy as np
from pathlib import Path
from tests import nouns
from tests.conftest import make_cell
from tests.contract.test_backends import LLAMA
name, weights, scenario = sys.argv[1:]
backend = nouns.backend(name)
cell = make_cell(name, scenario=scenario)
imports = backend.imports(LLAMA)
session = backend.open(LLAMA, Path(weights), cell)
batch = {"input_ids": np.arange(3, 12).reshape(1, 9)}
if scenario == "generate":
    batch["new_tokens"] = np.asarray(4)
y = session.step(session.to_device(batch))
found = session.to_host(y)
print(json.dumps({
    "imports": imports, "torch": "torch" in sys.modules, "facts": session.facts(),
    "sum": {name: float(np.abs(array).sum()) for name, array in found.items()},
}))
"""


@pytest.mark.parametrize("scenario", ["infer", "generate"])
@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_later_process_needs_no_torch_and_says_the_same(
    name: str, scenario: str, weights: dict[str, Path], tmp_path: Path
) -> None:
    backend = nouns.backend(name)
    variables = {**os.environ, **backend.env(make_cell(name, scenario=scenario), tmp_path)}
    words = [sys.executable, "-c", LATER, name, str(weights["llama"]), scenario]
    first, later = (
        json.loads(subprocess.run(words, env=variables, check=True, capture_output=True, text=True).stdout)
        for _ in range(2)
    )
    assert (first["torch"], later["torch"]) == (True, False)
    assert len(later["imports"]) == 1
    assert later["sum"] == first["sum"]
    assert later["facts"] == first["facts"]
    assert later["facts"]["threads"] == len(os.sched_getaffinity(0))
