"""A backend over NumPy: multi-layer perceptrons in float32, on whatever BLAS NumPy was built with.

Shapes: B rows, F features, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from weighbridge.bench.core import Arrays, Backend, Cell, Cost, ModelSpec, Session


class Numpy(Backend):
    """The architecture `mlp`, without LayerNorm."""

    name = "numpy"
    requires = ("scipy", "threadpoolctl")
    distributions = ("numpy", "scipy")

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Raises ValueError where it does not know the model, or the file does not hold its weights."""
        from safetensors.numpy import load_file

        if model.architecture != "mlp" or model.config.get("layer_norm"):
            raise ValueError(f"numpy opens an mlp without layer_norm, not {model.architecture} {model.config}")
        names = [*(f"layers.{index}" for index in range(len(model.config["hidden"]))), "head"]
        held = load_file(weights)
        if lacking := [name for name in names if not {f"{name}.weight", f"{name}.bias"} <= held.keys()]:
            raise ValueError(f"the weights lack {lacking[0]}")
        layers = [(held[f"{name}.weight"].T.copy(), held[f"{name}.bias"]) for name in names]
        return Perceptron(layers, ACTIVATIONS[model.config.get("activation", "gelu")])


class Perceptron(Session):
    """Weights (F, O) and biases (O,) of each layer, in order."""

    def __init__(
        self, layers: list[tuple[np.ndarray, np.ndarray]], activation: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        self.layers, self.activation = layers, activation

    def to_device(self, batch: Arrays) -> np.ndarray:
        """(B, F) in one piece."""
        return np.ascontiguousarray(batch["features"], np.float32)

    def step(self, x: np.ndarray) -> np.ndarray:
        """(B, F) -> (B, O)."""
        *hidden, (head, bias) = self.layers
        for weight, offset in hidden:
            x = self.activation(x @ weight + offset)
        return x @ head + bias

    def sync(self, y: np.ndarray) -> None:
        """NumPy is done when it returns."""

    def to_host(self, y: np.ndarray) -> Arrays:
        """As the reference names it: (B,) where there is one output, else (B, O)."""
        return {"prediction": y[:, 0] if y.shape[1] == 1 else y}

    def cost(self, x: np.ndarray) -> Cost:
        """By the sizes of the weights."""
        sizes = [weight.size for weight, _ in self.layers]
        moved = sum(weight.nbytes + bias.nbytes for weight, bias in self.layers) + x.nbytes
        return Cost(flops=2.0 * sum(sizes) * len(x), bytes=float(moved), by="sizes of weights")

    def facts(self) -> dict[str, Any]:
        """Threads as the loaded BLAS says; the dtype that the weights have."""
        import threadpoolctl

        pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        return {
            "threads": max((pool["num_threads"] for pool in pools), default=1),
            "blas": sorted({pool["internal_api"] for pool in pools}),
            "precision": str(self.layers[0][0].dtype),
            "scope": "model forward",
            "ran_on": "cpu",
            "prepacked": ["transposed"],
        }


def gelu(x: np.ndarray) -> np.ndarray:
    """By the error function, as PyTorch's default."""
    from scipy.special import erf

    return x * np.float32(0.5) * (1 + erf(x * np.float32(0.5**0.5)))


def relu(x: np.ndarray) -> np.ndarray:
    """What is above nought."""
    return np.maximum(x, 0)


ACTIVATIONS = {"gelu": gelu, "relu": relu}
