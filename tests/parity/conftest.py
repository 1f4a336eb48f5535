"""Twins against the float64 oracle: the models, with every weight and every statistic drawn at random.

timm's own initialisation gives zeros for some layers, under which any twin passes (measuring rule 20). The shapes
are ones that no task uses: odd, oblong and partly masked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx

from backends.flax_nnx import bridge, models
from backends.torch_nn import models as torch_models
from bench.core import Arrays, ModelSpec, Seeded
from bench.core.record import Parity
from bench.measure import parity

Draw = Callable[[np.random.Generator], Arrays]
BERT = {"vocab_size": 99, "hidden_size": 48, "num_attention_heads": 4, "intermediate_size": 80, "num_hidden_layers": 3}


def image(*shape: int) -> Draw:
    return lambda rng: {"image": rng.normal(size=shape).astype(np.float32)}


def features(*shape: int) -> Draw:
    return lambda rng: {"features": rng.normal(size=shape).astype(np.float32)}


def sentences(count: int, length: int) -> Draw:
    def draw(rng: np.random.Generator) -> Arrays:
        lengths = rng.integers(1, length + 1, (count, 1))
        mask = (np.arange(length) < lengths).astype(np.int32)
        return {"input_ids": rng.integers(0, 99, (count, length)).astype(np.int32), "attention_mask": mask}

    return draw


@dataclass(frozen=True)
class Case:
    """A model with random weights, and inputs for it. What the reference says of them is computed once."""

    model: ModelSpec
    draw: Draw

    @cached_property
    def inputs(self) -> Arrays:
        return self.draw(np.random.default_rng(7))

    @cached_property
    def weights(self) -> Arrays:
        rng, module = np.random.default_rng(11), torch_models.build(self.model)
        return {name: _random(name, weight, rng) for name, weight in torch_models.state(module).items()}

    @cached_property
    def reference(self) -> Arrays:
        return self._torch(torch.float32)

    @cached_property
    def oracle(self) -> Arrays:
        return self._torch(torch.float64)

    def twin(self) -> nnx.Module:
        source = models.load(self.model.architecture)
        module = nnx.eval_shape(lambda: source.build(self.model.config, nnx.Rngs(0)))
        bridge.load(module, self.weights)
        return module

    def outputs(self, dtype: Any = jnp.float32) -> Arrays:
        graph, state = nnx.split(self.twin())
        run = models.load(self.model.architecture).forward
        state = jax.tree.map(lambda leaf: leaf.astype(dtype), state)
        inputs = {name: _cast(jnp.asarray(array), dtype) for name, array in self.inputs.items()}
        out = jax.jit(lambda state, inputs: run(nnx.merge(graph, state), inputs))(state, inputs)
        return {name: np.asarray(array.astype(jnp.float32)) for name, array in out.items()}

    def judge(self) -> Parity:
        return parity.judge(self.outputs(), self.reference, self.oracle, "", "fp32")

    def _torch(self, dtype: torch.dtype) -> Arrays:
        module = torch_models.build(self.model)
        torch_models.load_state(module, self.weights)
        tensors = {name: torch.from_numpy(array) for name, array in self.inputs.items()}
        inputs = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
        with torch.inference_mode():
            out = torch_models.forward(self.model)(module.to(dtype), inputs)
        return {name: tensor.numpy() for name, tensor in out.items()}


def _random(name: str, weight: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gains and variances about 1, shifts about 0, matrices that keep the size of what they are given."""
    if name.endswith("running_var") or (weight.ndim == 1 and name.endswith("weight")):
        drawn = rng.uniform(0.5, 1.5, weight.shape)
    else:
        fan_in = weight[0].size if weight.ndim > 1 and "embed" not in name else 4
        drawn = rng.normal(size=weight.shape) / np.sqrt(fan_in)
    return drawn.astype(np.float32)


def _cast(array: jax.Array, dtype: Any) -> jax.Array:
    return array.astype(dtype) if jnp.issubdtype(array.dtype, jnp.floating) else array


def _case(architecture: str, draw: Draw, **config: Any) -> Case:
    return Case(ModelSpec(architecture=architecture, config=config, weights=Seeded(seed=0)), draw)


SHORT = {"layers": (1, 1, 1, 1), "num_classes": 11}
CASES = {
    "mlp": _case("mlp", features(65, 7), in_features=7, hidden=[33, 17], out_features=1, layer_norm=True),
    "mlp-relu": _case("mlp", features(9, 5), in_features=5, hidden=[12], out_features=3, activation="relu"),
    "resnet10t": _case("resnet", image(9, 29, 27, 1), name="resnet10t", in_chans=1, num_classes=10),
    "resnet18": _case("resnet", image(5, 75, 50, 3), name="resnet18", num_classes=11),
    "resnet26d": _case("resnet", image(5, 45, 62, 3), name="resnet26d", **SHORT),
    "resnet50": _case("resnet", image(5, 40, 64, 3), name="resnet50", **SHORT),
    "vit": _case("vit", image(5, 48, 48, 3), name="vit_tiny_patch16_224", img_size=48, depth=2, num_classes=11),
    "vit-patch8": _case(
        "vit", image(3, 40, 40, 1), name="vit_tiny_patch16_224", img_size=40, patch_size=8, depth=3, in_chans=1
    ),
    "bert": _case("bert", sentences(7, 23), **BERT),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def cases() -> dict[str, Case]:
    return CASES


@pytest.fixture
def strict_jax() -> Iterator[None]:
    """No dtype and no rank is promoted unasked."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
