"""A deep ensemble for rows of numbers: members of one shape that say a mean and how far they may be off.

Source: Lakshminarayanan, Pritzel & Blundell, Deep Ensembles, NeurIPS 2017. The members differ by their initialisation
alone; whoever reads their answers takes them as a mixture of equal parts.

Shapes: B batch, F features, M members.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

LIBRARY = "torch"
ACTIVATIONS = {
    "gelu": functional.gelu,
    "relu": functional.relu,
    "silu": functional.silu,
    "tanh": torch.tanh,
}


class Member(nn.Module):
    """Hidden layers of linear, optional LayerNorm, activation; then a head for the mean and one for the variance."""

    def __init__(
        self, in_features: int, hidden: list[int], activation: str, layer_norm: bool, min_variance: float
    ) -> None:
        super().__init__()
        widths = [in_features, *hidden]
        self.layers = nn.ModuleList(nn.Linear(*pair) for pair in zip(widths, hidden, strict=False))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in hidden if layer_norm)
        self.mean, self.variance = (nn.Linear(widths[-1], 1) for _ in range(2))
        self.activation, self.min_variance = ACTIVATIONS[activation], min_variance

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F) to a mean and a variance, (B,) each."""
        for index, layer in enumerate(self.layers):
            x = layer(x)
            x = self.activation(self.norms[index](x) if len(self.norms) else x)
        return self.mean(x)[:, 0], functional.softplus(self.variance(x))[:, 0] + self.min_variance


class Ensemble(nn.Module):
    """`members` of one shape, side by side."""

    def __init__(
        self,
        in_features: int,
        hidden: list[int],
        members: int = 5,
        activation: str = "relu",
        layer_norm: bool = False,
        min_variance: float = 1e-6,
    ) -> None:
        super().__init__()
        self.members = nn.ModuleList(
            Member(in_features, hidden, activation, layer_norm, min_variance) for _ in range(members)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F) to means and variances, (B, M) each."""
        means, variances = zip(*(member(x) for member in self.members), strict=True)
        return torch.stack(means, 1), torch.stack(variances, 1)


def build(config: dict[str, Any]) -> nn.Module:
    """`config` are the arguments of `Ensemble`."""
    return Ensemble(**config)


def forward(module: nn.Module, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
    """`features` (B, F) to `mean` and `variance` (B, M), of each member by itself."""
    mean_BM, variance_BM = module(inputs["features"])
    return {"mean": mean_BM, "variance": variance_BM}
