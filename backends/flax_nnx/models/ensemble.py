"""Twin of `backends.torch_nn.architectures.ensemble`: members of one shape, laid on one another and run as one.

Shapes: B batch, F features, W width, M members.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.models import settings
from weighbridge.bench.core import WeighbridgeError

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": layers.gelu,
    "relu": layers.relu,
    "silu": layers.silu,
    "tanh": jnp.tanh,
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """The arguments of the reference's `Ensemble`, with its defaults."""

    in_features: int
    hidden: Sequence[int]
    members: int = 5
    activation: str = "relu"
    layer_norm: bool = False
    min_variance: float = 1e-6

    def __post_init__(self) -> None:
        if self.activation not in ACTIVATIONS:
            known = " or ".join(ACTIVATIONS)
            raise WeighbridgeError(f"the ensemble twin has activation {known}, not {self.activation!r}")
        if self.members < 1:
            raise WeighbridgeError(f"the ensemble twin has members of 1 or more, not {self.members}")


class Member(nnx.Module):
    """Hidden layers of linear, optional LayerNorm, activation; then a head for the mean and one for the variance."""

    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        widths = [c.in_features, *c.hidden]
        self.layers = nnx.List([layers.Linear(*pair, rngs=rngs) for pair in zip(widths, c.hidden, strict=False)])
        self.norms = nnx.List([layers.LayerNorm(width, rngs=rngs) for width in c.hidden if c.layer_norm])
        self.mean, self.variance = (layers.Linear(widths[-1], 1, rngs=rngs) for _ in range(2))
        self.activation, self.positive, self.min_variance = ACTIVATIONS[c.activation], jax.nn.softplus, c.min_variance

    def __call__(self, x_BF: Array) -> tuple[Array, Array]:
        """A mean and a variance, (B,) each."""
        x_BW = x_BF
        for index, layer in enumerate(self.layers):
            x_BW = layer(x_BW)
            x_BW = self.activation(self.norms[index](x_BW) if self.norms else x_BW)
        return self.mean(x_BW)[:, 0], self.positive(self.variance(x_BW))[:, 0] + self.min_variance


class Ensemble(nnx.Module):
    def __init__(self, c: Config, rngs: nnx.Rngs) -> None:
        self.members = layers.Stacked(c.members, lambda rngs: Member(c, rngs), rngs=rngs)

    def __call__(self, x_BF: Array) -> tuple[Array, Array]:
        """Means and variances, (B, M) each."""
        mean_MB, variance_MB = self.members(x_BF)
        return mean_MB.T, variance_MB.T


def build(config: dict[str, Any], rngs: nnx.Rngs) -> Ensemble:
    return Ensemble(settings(Config, config), rngs)


def forward(module: Ensemble, inputs: dict[str, Array]) -> dict[str, Array]:
    """features (B, F) -> mean and variance (B, M)."""
    mean_BM, variance_BM = module(inputs["features"])
    return {"mean": mean_BM, "variance": variance_BM}


def _exponential(module: Ensemble) -> None:
    module.members.member.positive = jnp.exp


def _cut_at_zero(module: Ensemble) -> None:
    module.members.member.positive = layers.relu


def _no_floor(module: Ensemble) -> None:
    module.members.member.min_variance = 0.0


def _deviation(module: Ensemble) -> None:
    """As where members' deviations are averaged in place of their variances."""
    module.members.member.positive = lambda x: jnp.sqrt(jax.nn.softplus(x))


def _floor_under_the_deviation(module: Ensemble) -> None:
    floor = module.members.member.min_variance
    module.members.member.positive = lambda x: jnp.square(jnp.sqrt(jax.nn.softplus(x)) + floor) - floor


def _tanh_gelu(module: Ensemble) -> None:
    module.members.member.activation = layers.gelu_tanh


def _flax_eps(module: Ensemble) -> None:
    for norm in module.members.member.norms:
        norm.epsilon = 1e-6


def _heads_exchanged(module: Ensemble) -> None:
    member = module.members.member
    member.mean, member.variance = member.variance, member.mean


def _first_for_second(module: Ensemble) -> None:
    for _, variable in nnx.iter_graph(module):
        if isinstance(variable, nnx.Param):
            value = jnp.asarray(variable.get_value())
            variable.set_value(value.at[1].set(value[0]))


def _last_first(module: Ensemble) -> None:
    for _, variable in nnx.iter_graph(module):
        if isinstance(variable, nnx.Param):
            variable.set_value(jnp.asarray(variable.get_value())[::-1])


MUTANTS: dict[str, Callable[[Any], None]] = {
    "exp for softplus": _exponential,
    "ReLU for softplus": _cut_at_zero,
    "the variance's floor left out": _no_floor,
    "deviations for variances": _deviation,
    "the floor under the deviation": _floor_under_the_deviation,
    "tanh for erf in the GELU": _tanh_gelu,
    "Flax's default eps": _flax_eps,
    "heads exchanged": _heads_exchanged,
    "a member used twice": _first_for_second,
    "members in reverse": _last_first,
}
"""Mistakes that ports of this architecture make, each done to a loaded module."""
