"""What the two towers do not do is refused, and an empty history says nothing."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from tests.parity.case import Case
from weighbridge.backends.flax_nnx.models import two_towers
from weighbridge.backends.flax_nnx.twin import built, streams
from weighbridge.backends.torch_nn import models as torch_models
from weighbridge.bench.core import ModelSpec, Seeded, WeighbridgeError

SMALL: dict[str, Any] = {"ids": 9, "width": 4}


@pytest.mark.parametrize("change", [{"features": 3}, {"activation": "mish"}, {"dropout": 0.1}])
def test_what_the_twin_does_not_do_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WeighbridgeError, match=next(iter(change))) as refusal:
        built(lambda: two_towers.build({**SMALL, **change}, streams(0)))
    assert "\n" not in str(refusal.value)


def test_features_without_a_hidden_layer_are_refused_by_the_reference_too() -> None:
    with pytest.raises(WeighbridgeError, match="features"):
        torch_models.build(
            ModelSpec(architecture="two_towers", config={**SMALL, "features": 3}, weights=Seeded(seed=0))
        )


def test_an_empty_history_says_nothing_and_a_row_says_itself(cases: dict[str, Case]) -> None:
    case = cases["two-towers-rows-alone"]
    assert not case.inputs["history"][0].any()
    assert not case.outputs()["query"][0].any()
    lengths = np.linalg.norm(case.outputs()["item"], axis=-1)
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-6)


def test_a_sum_and_its_gradient_are_the_same_row_after_row_as_off_the_cpu_at_once() -> None:
    module = two_towers.build(SMALL, nnx.Rngs(0))
    graph, state = nnx.split(module)
    history_BT = jnp.array([[1, 2, 2], [3, 0, 0], [0, 0, 0]])

    def sums(state: nnx.State[Any, Any], name: str) -> jax.Array:
        merged = nnx.merge(graph, state)
        return getattr(merged, name)(history_BT, merged.known(history_BT))

    def loss(state: nnx.State[Any, Any], name: str) -> jax.Array:
        return jnp.sum(jnp.sin(sums(state, name)))

    names = ("_one_by_one", "_at_once")
    one_by_one, at_once = (jax.jit(sums, static_argnums=1)(state, name) for name in names)
    np.testing.assert_allclose(one_by_one, at_once, rtol=1e-6)
    gradients = [jax.jit(jax.grad(loss), static_argnums=1)(state, name)["query_embedding"] for name in names]
    rows = [np.asarray(jax.tree.leaves(each)[0]) for each in gradients]
    assert rows[0][1:4].any(axis=1).all()
    np.testing.assert_allclose(*rows, rtol=1e-5)
