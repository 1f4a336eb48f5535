"""Twin of `backends.torch_nn.architectures.mlp`: linear, optional LayerNorm and activation for each width; a head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flax import nnx
from jax import Array

from backends.flax_nnx import layers

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
