"""A backend for tests: real arithmetic in numpy on the `mlp` architecture, time from a clock of its own.

Its clock moves only when it computes, by an amount that depends on nothing but the step's number, so that
every figure of a run on `fake` is the same on every machine and nothing sleeps. It is a reference too, so
that such runs need no framework.
"""

from __future__ import annotations

import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from bench.core import Arrays, Cell, Cost, Device, Files, ModelSpec, Precision, Reference, Session, Training, Work

STEP_S = 0.010
WOBBLE_S = (0.0, 0.0002, -0.0001, 0.0001, -0.0002)
COMPILE_S = 0.5
FAULT_VARIABLE = "WEIGHBRIDGE_FAKE_FAULT"
"""`KIND` or `KIND@BATCH_SIZE`; KIND is one of `FAULTS`. Tests set it to see what becomes of a worker that fails."""

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _raise() -> None:
    raise RuntimeError("fake fault")


def _exhaust() -> None:
    raise RuntimeError("fake device memory exhausted")


def _hang() -> None:
    signal.pause()


def _nothing() -> None:
    """What comes of these is seen in `FakeSession.step`."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS = {"raise": _raise, "oom": _exhaust, "hang": _hang, "kill": _kill, "wrong": _nothing, "stall": _nothing}
STALL_S, STALL_AT_STEP = 0.2, 1000
"""`stall`: once, at this step, time stands still: here, and on the clock that a load generator shares."""


def fault(cell: Cell) -> str:
    """The fault that this cell is to suffer, or nothing."""
    kind, _, batch_size = os.environ.get(FAULT_VARIABLE, "").partition("@")
    return kind if batch_size in ("", str(cell.batch_size)) else ""


class Fake(Reference):
    """See the module's docstring."""

    name = "fake"
    hidden = True
    oom_signs = ("fake device memory exhausted",)

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Loads an `mlp` without normalisation; another architecture is an error."""
        if model.architecture != "mlp" or model.config.get("layer_norm"):
            raise ValueError(f"fake computes only the mlp architecture, not {model.architecture}")
        dtype = np.float64 if cell.precision == "fp64" else np.float32
        arrays = {name: array.astype(dtype) for name, array in load_file(weights).items()}
        return FakeSession(arrays, model.config, "" if cell.precision == "fp64" else fault(cell))

    def weights(self, model: ModelSpec, files: Files, training: Training | None) -> Arrays:
        """Seeded normal weights, scaled by fan-in: they are fit for parity, and score nothing."""
        rng = np.random.default_rng(0)
        widths = [model.config["in_features"], *model.config["hidden"]]
        names = [f"layers.{index}" for index in range(len(widths) - 1)] + ["head"]
        sizes = [*widths, model.config["out_features"]]
        made: Arrays = {}
        for name, fan_in, fan_out in zip(names, sizes[:-1], sizes[1:], strict=True):
            made[f"{name}.weight"] = rng.normal(0, fan_in**-0.5, (fan_out, fan_in)).astype(np.float32)
            made[f"{name}.bias"] = rng.normal(0, 0.1, fan_out).astype(np.float32)
        return made

    def large_product(self, precision: Precision, device: Device) -> Work:
        """Of two matrices of 64 rows."""
        a, out = np.ones((64, 64)), np.empty((64, 64))

        def run() -> None:
            np.matmul(a, a, out=out)

        return Work(run=run, amount=2.0 * 64**3)

    def large_copy(self, device: Device) -> Work:
        """Of a mebibyte."""
        a = np.zeros(2**17)
        return Work(run=lambda: np.copyto(a, a), amount=2.0 * a.nbytes)


class FakeSession(Session):
    """Computes when stepped; its clock advances then, and the first step takes `COMPILE_S` more."""

    def __init__(self, weights: Arrays, config: dict[str, Any], fault: str) -> None:
        self.weights, self.depth, self.fault = weights, len(config["hidden"]), fault
        self.activation = ACTIVATIONS[config.get("activation", "gelu")]
        self.now_s, self.steps = 0.0, 0

    def put(self, batch: Arrays) -> np.ndarray:
        """features (B, F)."""
        return batch["features"].astype(self.weights["head.weight"].dtype)

    def step(self, x: np.ndarray) -> np.ndarray:
        """(B, F) -> (B, O)."""
        if self.steps and self.fault:
            FAULTS[self.fault]()
        self.now_s += STEP_S + WOBBLE_S[self.steps % len(WOBBLE_S)] + (0 if self.steps else COMPILE_S)
        self.steps += 1
        if self.fault == "stall" and self.steps == STALL_AT_STEP:
            self.now_s += STALL_S
            time.sleep(STALL_S)
        for index in range(self.depth):
            x = self.activation(self._linear(f"layers.{index}", x))
        y = self._linear("head", x)
        return y * 1.001 if self.fault == "wrong" else y

    def _linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def sync(self, y: np.ndarray) -> None:
        """Nothing is asynchronous here."""

    def get(self, y: np.ndarray) -> Arrays:
        """As the `mlp` architecture names it."""
        return {"prediction": y[:, 0] if y.shape[1] == 1 else y}

    def clock(self) -> float:
        """Seconds of fake time."""
        return self.now_s

    def cost(self, x: np.ndarray) -> Cost:
        """By the sizes of the weights."""
        products = sum(weights.size for name, weights in self.weights.items() if name.endswith("weight"))
        moved = sum(weights.nbytes for weights in self.weights.values()) + x.nbytes
        return Cost(flops=2.0 * products * len(x), bytes=float(moved), by="sizes of weights")

    def facts(self) -> dict[str, Any]:
        """Effective footing."""
        return {"threads": 1, "precision": str(self.weights["head.weight"].dtype), "steps": self.steps}


def _gelu(x: np.ndarray) -> np.ndarray:
    return (x * 0.5 * (1 + _erf(x / math.sqrt(2)))).astype(x.dtype)


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


ACTIVATIONS = {"gelu": _gelu, "relu": _relu}
