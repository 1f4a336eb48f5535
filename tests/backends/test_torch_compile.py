"""What inductor is told and what it says: frozen weights, cold caches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch._inductor import config

from tests import nouns
from tests.conftest import make_cell
from weighbridge.backends.torch_compile import TorchCompile
from weighbridge.backends.torch_compile_freezing import FROZEN, TorchCompileFreezing
from weighbridge.backends.torch_eager import TorchEager
from weighbridge.bench.core import Arrays, Backend, ModelSpec, Seeded
from weighbridge.bench.core.settings import Pairs

MLP = ModelSpec(
    architecture="mlp", config={"in_features": 4, "hidden": [16], "out_features": 1}, weights=Seeded(seed=1)
)
FEATURES: Arrays = {"features": np.ones((8, 4), np.float32)}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "weights.safetensors"
    save_file(TorchEager().weights(MLP, {}, None), path)
    return path


def test_backends_that_run_torch_are_one_camp() -> None:
    found = {backend.camp for name, backend in nouns.backends().items() if name == "torch" or name.startswith("torch-")}
    assert found == {"torch"}
    assert nouns.backend("flax").camp != "torch"


def facts(backend: Backend, weights: Path, options: Pairs = ()) -> dict[str, Any]:
    session = backend.open(MLP, weights, make_cell(backend.name, options=options))
    assert session.facts()["prepacked"] == []  # nothing has been compiled yet
    session.step(session.to_device(FEATURES))
    found = session.facts()
    session.close()
    return found


def test_weights_are_frozen_where_it_says_so_and_nowhere_else(weights: Path) -> None:
    with config.patch(freezing=False):  # not monkeypatch: undone, it leaves an option that "does not exist"
        assert facts(TorchCompile(), weights)["prepacked"] == []
        found = facts(TorchCompileFreezing(), weights)
        by = "MKL" if torch.backends.mkl.is_available() else "oneDNN"
        assert found["prepacked"] == [FROZEN, f"laid anew by {by}"]
        assert found["frozen_constants"] >= 2
        assert not config.freezing  # nor for those who come after


def test_a_batch_without_a_known_size_has_its_weights_laid_by_onednn(weights: Path) -> None:
    with config.patch(freezing=False):
        found = facts(TorchCompileFreezing(), weights, options=(("dynamic", True),))
    assert found["prepacked"] == [FROZEN, "laid anew by oneDNN"]


COLD = """
import json, os, sys, time
from pathlib import Path
from weighbridge.backends.torch_compile import TorchCompile
from tests.conftest import make_cell
from tests.backends.test_torch_compile import FEATURES, MLP
session = TorchCompile().open(MLP, Path(sys.argv[1]), make_cell("torch-compile"))
early = "torch._inductor.compile_fx" in sys.modules and "torch._dynamo" in sys.modules
begin = time.perf_counter()
session.step(session.to_device(FEATURES))
print(json.dumps({"early": early, "first_s": time.perf_counter() - begin, **session.facts()}))
"""


def test_a_cold_cache_compiles_the_header_anew_and_leaves_nothing_elsewhere(weights: Path, tmp_path: Path) -> None:
    system, cache = tmp_path / "system", tmp_path / "cache"
    system.mkdir()
    variables = {**os.environ, "TMPDIR": str(system), **TorchCompile().env(make_cell("torch-compile"), cache)}
    words = [sys.executable, "-c", COLD, str(weights)]
    ended = subprocess.run(words, env=variables, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout.splitlines()[-1])
    assert found["early"]
    assert list(cache.rglob("precompiled_headers/*.?ch"))
    assert list(system.iterdir()) == []
    assert 0 < found["toolchain_s"] < found["first_s"]
