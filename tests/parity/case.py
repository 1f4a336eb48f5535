"""A model with random weights beside its twin, and inputs of shapes that no task uses: odd, oblong, partly masked.

Every weight and every statistic is drawn: timm's own initialisation gives zeros for some layers, under which any twin
passes (measuring rule 20).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import numpy as np
import torch
from flax import nnx

from tests.conftest import make_cell
from weighbridge.backends.flax_nnx import bridge, models
from weighbridge.backends.flax_nnx.placement import Parts, Placement, Policy
from weighbridge.backends.flax_nnx.session import InferSession
from weighbridge.backends.flax_nnx.twin import built, streams
from weighbridge.backends.torch_nn import models as torch_models
from weighbridge.bench.core import Arrays, ModelSpec, Precision, Seeded
from weighbridge.bench.core.record import Parity
from weighbridge.bench.measure import parity

Draw = Callable[[np.random.Generator], Arrays]
Mutate = Callable[[Any], None]


def as_it_is(module: Any) -> None:
    """The mutation that is none."""


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
        source = models.twin(self.model.architecture)
        module = built(lambda: source.build(self.model.config, streams(0)))
        bridge.load(module, self.weights)
        return module

    def outputs(self, precision: Precision = "fp32", mutate: Mutate = as_it_is) -> Arrays:
        """What the twin says, by the session that is weighed; `mutate` changes the loaded module first."""
        module, cell = self.twin(), make_cell("flax", precision=precision)
        mutate(module)
        parts = Parts(module, Policy.of(cell), Placement(jax.devices("cpu")[:1]))
        session = InferSession(models.twin(self.model.architecture), parts, cell)
        return session.to_host(session.step(session.to_device(self.inputs)))

    def judge(self, mutate: Mutate = as_it_is) -> Parity:
        return parity.judge(self.outputs(mutate=mutate), self.reference, self.oracle, "", "fp32")

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


def case_of(architecture: str, draw: Draw, **config: Any) -> Case:
    return Case(ModelSpec(architecture=architecture, config=config, weights=Seeded(seed=0)), draw)
