"""Every format of every backend: written here, opened in a fresh process by its files alone, also as its card says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests import nouns
from tests.conftest import make_cell
from tests.contract.test_backends import LLAMA, MLP, outputs
from weighbridge.bench.core import Arrays, Backend, Cell, ModelSpec, Written
from weighbridge.bench.measure import parity

PAIRS = [(backend, form) for backend in nouns.backends().values() for form in backend.formats]
IDS = [f"{backend.name}-{form}" for backend, form in PAIRS]
DRAW = np.random.default_rng(0)
BATCHES: dict[str, Arrays] = {
    "mlp": {"features": DRAW.normal(size=(6, 5)).astype(np.float32)},
    "llama": {"input_ids": DRAW.integers(3, 97, (6, 7))},
}
WAYS = [("opened", 6), ("opened", 5), ("opened", 1), ("loaded", 5)]
"""By `reopen`, and as the card says; how many rows at a time."""
FRESH = """
import os, sys
from pathlib import Path
import msgspec, numpy as np
from safetensors.numpy import load_file, save_file
from weighbridge.bench.core import ModelSpec
from tests import nouns
from tests.conftest import make_cell
name, form, root = sys.argv[1:]
os.chdir(root)
found = {}
for folder in sorted(Path.cwd().iterdir()):
    model = msgspec.json.decode((folder / "spec.json").read_bytes(), type=ModelSpec)
    rows = load_file(folder / "rows.npz")
    session = nouns.backend(name).reopen(folder / "files", form, model, make_cell(name))
    for count in (6, 5, 1):
        inputs = {each: rows[each][-count:] for each in rows}
        y = session.step(session.to_device(inputs))
        session.sync(y)
        found |= {f"{folder.name} opened {count} {each}": array for each, array in session.to_host(y).items()}
    os.chdir(folder / "files")
    given = {"inputs": {each: rows[each][-5:] for each in rows}}
    exec((folder / "loading.py").read_text(), given)
    found |= {f"{folder.name} loaded 5 {each}": np.asarray(array) for each, array in given["outputs"].items()}
save_file({name: np.array(array, order="C") for name, array in found.items()}, Path(root) / "found.npz")
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("weights")
    for model in (MLP, LLAMA):
        save_file(nouns.reference("torch").weights(model, {}, None), folder / f"{model.architecture}.safetensors")
    return {model.architecture: folder / f"{model.architecture}.safetensors" for model in (MLP, LLAMA)}


def written(backend: Backend, form: str, model: ModelSpec, weights: Path, folder: Path) -> Written:
    """An export, and beside it what the fresh process is told."""
    (folder / "files").mkdir(parents=True)
    batch = BATCHES[model.architecture]
    told = backend.export(model, weights, make_cell(backend.name), batch, form, folder / "files")
    (folder / "spec.json").write_bytes(msgspec.json.encode(model))
    (folder / "loading.py").write_text(told.loading)
    save_file(batch, folder / "rows.npz")
    return told


def fresh(backend: str, form: str, folder: Path) -> Arrays:
    variables = {**os.environ, **nouns.backend(backend).env(make_cell(backend), folder.parent / "cache")}
    words = [sys.executable, "-c", FRESH, backend, form, str(folder)]
    ended = subprocess.run(words, env=variables, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-2000:]
    return load_file(folder / "found.npz")


@pytest.fixture(scope="module")
def expected(weights: dict[str, Path]) -> dict[str, tuple[Arrays, Arrays]]:
    """Of each model the reference's outputs in float32 and float64."""
    cells = [make_cell("torch", precision=each) for each in ("fp32", "fp64")]

    def of(model: ModelSpec, cell: Cell) -> Arrays:
        name = model.architecture
        return outputs(nouns.backend("torch").open(model, weights[name], cell), BATCHES[name])

    return {model.architecture: (of(model, cells[0]), of(model, cells[1])) for model in (MLP, LLAMA)}


@pytest.mark.parametrize(("backend", "form"), PAIRS, ids=IDS)
def test_a_fresh_process_computes_the_same_by_the_files_alone(
    backend: Backend,
    form: str,
    weights: dict[str, Path],
    expected: dict[str, tuple[Arrays, Arrays]],
    tmp_path: Path,
) -> None:
    for model in (MLP, LLAMA):
        written(backend, form, model, weights[model.architecture], tmp_path / "made" / model.architecture)
    found = fresh(backend.name, form, tmp_path / "made")
    for name, given in expected.items():
        for how, rows in WAYS:
            prefix = f"{name} {how} {rows} "
            ours = {each.removeprefix(prefix): found[each] for each in found if each.startswith(prefix)}
            reference, oracle = ({each: array[-rows:] for each, array in outputs.items()} for outputs in given)
            verdict = parity.judge(ours, reference, oracle, "", "fp32")
            assert verdict.passed, (prefix, verdict)


def test_a_twin_that_was_trained_in_flax_opens_in_pytorch(weights: dict[str, Path], tmp_path: Path) -> None:
    import jax
    import jax.numpy as jnp
    import optax
    from flax import nnx

    from weighbridge.backends.flax_nnx import bridge, formats

    twin, module = formats.loaded(MLP, load_file(weights["mlp"]))
    target = jnp.arange(6.0)

    def loss(of: nnx.Module) -> jax.Array:
        return jnp.mean((twin.forward(of, BATCHES["mlp"])["prediction"] - target) ** 2)

    optimizer = nnx.Optimizer(module, optax.adam(0.1), wrt=nnx.Param)
    for _ in range(5):
        optimizer.update(module, nnx.grad(loss)(module))
    save_file(bridge.export(module), tmp_path / "trained.safetensors")
    assert not np.array_equal(bridge.export(module)["head.weight"], load_file(weights["mlp"])["head.weight"])

    written(nouns.backend("flax"), "safetensors", MLP, tmp_path / "trained.safetensors", tmp_path / "made")
    cells = [make_cell("torch", precision=each) for each in ("fp32", "fp64")]
    files = tmp_path / "made" / "files"
    theirs, oracle = (
        outputs(nouns.backend("torch").reopen(files, "safetensors", MLP, each), BATCHES["mlp"]) for each in cells
    )
    ours = {name: np.asarray(array) for name, array in twin.forward(module, BATCHES["mlp"]).items()}
    verdict = parity.judge(ours, theirs, oracle, "", "fp32")
    assert verdict.passed, verdict
    assert float(loss(module)) < float(np.mean((theirs["prediction"] * 0 - np.arange(6)) ** 2))
