"""What twins stand on: any state is placed, programs may change it, stacks and streams cross the bridge."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from tests.conftest import make_cell
from weighbridge.backends.flax_nnx import bridge, layers
from weighbridge.backends.flax_nnx.placement import Parts, Placement, Policy
from weighbridge.backends.flax_nnx.session import InferSession
from weighbridge.backends.flax_nnx.twin import Twin, built, streams
from weighbridge.bench.core import WeighbridgeError


class Motley(nnx.Module):
    """One of every kind of state that models have: weights, statistics, a stream, an index table, a constant."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.fc = layers.Linear(4, 6, rngs=rngs)
        self.bn = layers.BatchNorm(6, rngs=rngs)
        self.drop = layers.Dropout(0.5, rngs=rngs)
        self.table = nnx.Variable(jnp.array([5, 3, 1, 0, 2, 4]))
        self.angles = nnx.Variable(jnp.arange(6, dtype=jnp.float32) / 7)
        self.plan = {"scale": 2.0}

    def __call__(self, x: jax.Array) -> jax.Array:
        y = self.drop(self.bn(self.fc(x)))[:, self.table[...]]
        return y * self.plan["scale"] + jnp.sin(self.angles[...]).astype(y.dtype)[None]


def forward(module: Motley, inputs: dict[str, jax.Array]) -> dict[str, jax.Array]:
    return {"y": module(inputs["x"])}


TWIN = Twin(build=lambda config, rngs: Motley(rngs), forward=forward)
X = np.random.default_rng(1).normal(size=(8, 4)).astype(np.float32)


def reference(train: bool = False) -> torch.nn.ModuleDict:
    torch.manual_seed(0)
    module = torch.nn.ModuleDict({"fc": torch.nn.Linear(4, 6), "bn": torch.nn.BatchNorm1d(6)})
    module.train(train)
    return module


def session(precision: str = "fp32") -> InferSession:
    module = built(lambda: TWIN.build({}, streams(0)))
    bridge.load(module, {name: each.detach().numpy() for name, each in reference().state_dict().items()})
    cell = make_cell("flax", precision=precision)
    return InferSession(TWIN, Parts(module, Policy.of(cell), Placement(jax.devices("cpu")[:1])), cell)


def output(found: InferSession) -> np.ndarray:
    y = found.step(found.to_device({"x": X}))
    found.sync(y)
    return found.to_host(y)["y"]


def test_any_state_is_placed_and_what_is_no_weight_keeps_its_kind() -> None:
    theirs = reference()
    with torch.no_grad():
        expected = theirs["bn"](theirs["fc"](torch.from_numpy(X))).numpy()[:, [5, 3, 1, 0, 2, 4]]
    expected = 2 * expected + np.sin(np.arange(6) / 7)
    np.testing.assert_allclose(output(session()), expected, rtol=1e-5, atol=1e-5)
    half = session("bf16")
    np.testing.assert_allclose(output(half), expected, atol=0.05)
    kinds = sorted(str(leaf.dtype) for leaf in half.parts.leaves)
    assert kinds == ["bfloat16"] * 6 + ["float32", "int32", "key<fry>", "uint32"]


def test_statistics_may_be_held_wider_than_weights() -> None:
    module = built(lambda: TWIN.build({}, streams(0)))
    bridge.load(module, {name: each.detach().numpy() for name, each in reference().state_dict().items()})
    policy = Policy(jnp.dtype("bfloat16"), jnp.dtype("float32"), jnp.dtype("bfloat16"))
    parts = Parts(module, policy, Placement(jax.devices("cpu")[:1]))
    assert sorted(str(leaf.dtype) for leaf in parts.leaves[:6]) == ["bfloat16"] * 4 + ["float32"] * 2


def test_a_program_may_change_the_module_and_takes_its_memory() -> None:
    found = session()
    before = found.parts.leaves

    def step(module: Any, x: jax.Array) -> jax.Array:
        return TWIN.run(module, {"x": x}, train=True, rngs=nnx.Rngs(default=1, dropout=1))["y"]

    x = found.placed(X)
    program = found.program("step", step, x, changes=True)
    y, after = program(found.parts.leaves, x)
    assert before[0].is_deleted()
    found.parts.leaves = after
    theirs = reference(train=True)
    theirs["bn"](theirs["fc"](torch.from_numpy(X)))
    back = bridge.export(found.parts.module(after))
    for name in ("bn.running_mean", "bn.running_var"):
        np.testing.assert_allclose(back[name], theirs.state_dict()[name].numpy(), rtol=1e-4, atol=1e-6)
    assert 0.2 < np.mean(np.asarray(y) == np.asarray(np.sin(np.arange(6) / 7), np.float32)) < 0.8


def test_streams_are_started_anew_and_inference_draws_nothing() -> None:
    module = built(lambda: TWIN.build({}, streams(0)))
    bridge.load(module, {name: each.detach().numpy() for name, each in reference().state_dict().items()})
    one, same, other = (
        np.asarray(TWIN.run(module, {"x": jnp.asarray(X)}, train=True, rngs=nnx.Rngs(dropout=seed))["y"])
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(one == 0, same == 0)
    assert (one != other).any()
    calm = [np.asarray(TWIN.run(module, {"x": jnp.asarray(X)})["y"]) for _ in range(2)]
    np.testing.assert_array_equal(calm[0], calm[1])


class Ensemble(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.members = layers.Stacked(3, lambda rngs: layers.Linear(4, 2, rngs=rngs), rngs=rngs)


def test_a_stack_is_a_list_of_modules_to_pytorch() -> None:
    members = [torch.nn.Linear(4, 2) for _ in range(3)]
    theirs = torch.nn.ModuleDict({"members": torch.nn.ModuleList(members)})
    weights = {name: each.detach().numpy() for name, each in theirs.state_dict().items()}
    ours = built(lambda: Ensemble(streams(0)))
    bridge.load(ours, weights)
    assert ours.members.member.kernel.shape == (3, 4, 2)
    back = bridge.export(ours)
    assert {name: value.tobytes() for name, value in back.items()} == {n: w.tobytes() for n, w in weights.items()}
    with torch.no_grad():
        expected = torch.stack([member(torch.from_numpy(X)) for member in members]).numpy()
    np.testing.assert_allclose(ours.members(jnp.asarray(X)), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(WeighbridgeError, match=r"the weights lack members\.2\.bias"):
        bridge.load(ours, {name: value for name, value in weights.items() if name != "members.2.bias"})


def test_a_file_says_what_its_twin_offers() -> None:
    from weighbridge.backends.flax_nnx import models

    assert models.twin("mlp").prepare(None, make_cell("flax")) == []
    assert models.twin("mlp").generation is None
    assert models.twin("llama").generation is not None


def test_all_holds_as_trees_too() -> None:
    """Flax will make modules plain trees by default: then nothing may be shared, and nothing here is."""
    code = (
        "import tests.parity.test_frame as frame, tests.parity.cases as cases\n"
        "frame.test_any_state_is_placed_and_what_is_no_weight_keeps_its_kind()\n"
        "frame.test_a_stack_is_a_list_of_modules_to_pytorch()\n"
        "for name in ('mlp', 'bert', 'vit'): assert cases.CASES[name].judge().passed, name\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "NNX_GRAPH_MODE": "false"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
