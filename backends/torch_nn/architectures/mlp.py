"""A multi-layer perceptron for rows of numbers."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

LIBRARY = "torch"


class MLP(nn.Module):
    """Hidden layers of linear, optional LayerNorm, activation; then a linear head."""

    def __init__(
        self,
        in_features: int,
        hidden: list[int],
        out_features: int,
        activation: str = "gelu",
        layer_norm: bool = False,
    ) -> None:
        super().__init__()
        widths = [in_features, *hidden]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths, hidden, strict=False))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in hidden if layer_norm)
        self.head = nn.Linear(widths[-1], out_features)
        self.activation = {"gelu": nn.functional.gelu, "relu": nn.functional.relu}[activation]

    def forward(self, x: Tensor) -> Tensor:
        for index, layer in enumerate(self.layers):
            x = layer(x)
            x = self.activation(self.norms[index](x) if len(self.norms) else x)
        return self.head(x)


def build(config: dict[str, Any]) -> nn.Module:
    """`config` are the arguments of `MLP`."""
    return MLP(**config)


def forward(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`features` (B, in) to `prediction` (B,), or (B, out) where there are several."""
    y = module(inputs["features"])
    return {"prediction": y[:, 0] if y.shape[1] == 1 else y}
