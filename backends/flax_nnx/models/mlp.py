"""Twin of `backends.torch_nn.architectures.mlp`: linear, optional LayerNorm and activation for each width; a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from flax import nnx
from jax import Array

from weighbridge.backends.flax_nnx import layers

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {"gelu": layers.gelu, "relu": layers.relu}


class MLP(nnx.Module):
    """Configured by in_features, hidden, out_features, activation and layer_norm."""

    def __init__(
        self,
        in_features: int,
        hidden: list[int],
        out_features: int,
        activation: str = "gelu",
        layer_norm: bool = False,
        *,
        rngs: nnx.Rngs,
    ) -> None:
        widths = [in_features, *hidden]
        self.layers = nnx.List([layers.Linear(*pair, rngs=rngs) for pair in zip(widths, hidden, strict=False)])
        self.norms = nnx.List([layers.LayerNorm(width, rngs=rngs) for width in hidden if layer_norm])
        self.head = layers.Linear(widths[-1], out_features, rngs=rngs)
        self.activation = ACTIVATIONS[activation]

    def __call__(self, x: Array) -> Array:
        for index, layer in enumerate(self.layers):
            x = layer(x)
            x = self.activation(self.norms[index](x) if self.norms else x)
        return self.head(x)


def build(config: dict[str, Any], rngs: nnx.Rngs) -> MLP:
    return MLP(**config, rngs=rngs)


def forward(module: MLP, inputs: dict[str, Array]) -> dict[str, Array]:
    """features (B, F) -> prediction (B,), or (B, out_features) where there are several."""
    y = module(inputs["features"])
    return {"prediction": y[:, 0] if y.shape[1] == 1 else y}


class _Activated(nnx.Module):
    def __init__(self, module: MLP) -> None:
        self.head, self.activation = module.head, module.activation

    def __call__(self, x: Array) -> Array:
        return self.activation(self.head(x))


def _tanh_gelu(module: Any) -> None:
    module.activation = layers.gelu_tanh


def _flax_eps(module: Any) -> None:
    for norm in module.norms:
        norm.epsilon = 1e-6


def _no_bias(module: Any) -> None:
    for linear in (*module.layers, module.head):
        linear.bias.set_value(np.zeros_like(linear.bias.get_value()))


def _activated_head(module: Any) -> None:
    module.head = _Activated(module)


def _no_norms(module: Any) -> None:
    module.norms = nnx.List([])


MUTANTS: dict[str, Callable[[Any], None]] = {
    "GELU by tanh": _tanh_gelu,
    "Flax's eps": _flax_eps,
    "no bias": _no_bias,
    "an activation behind the head": _activated_head,
    "no norms": _no_norms,
}
"""Mistakes that ports of it make, each put into a loaded module."""
