"""A backend for tests: real arithmetic in numpy on the `mlp` architecture, time from a clock of its own.

Its clock moves only when it computes, by an amount that depends on nothing but the step's number, so that
every figure of a run on `fake` is the same on every machine and nothing sleeps. It is a reference too, so
that such runs need no framework.

On `cuda` and `tpu` it is a device: a step returns before its work is done, and its allocator has a live peak, a
reserved peak and an end, so that what is said of devices can be tested without one.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from weighbridge.bench.core import (
    Arrays,
    Cell,
    Cost,
    Device,
    Files,
    ModelSpec,
    Packaged,
    Precision,
    Reference,
    Session,
    Training,
    WeighbridgeError,
    Work,
)

STEP_S = 0.010
WOBBLE_S = (0.0, 0.0002, -0.0001, 0.0001, -0.0002)
COMPILE_S = 0.5
DISPATCH_S = 0.0002
"""Of a device: what the host takes to hand in a step."""
ROWS_AT_ONCE = 32
"""Of a device: as many rows take `STEP_S` together; more take as much longer, so that throughput has a knee."""
BLOCK_BYTES = 2**14
"""Of a device: its allocator holds whole blocks."""
CAPACITY_VARIABLE = "WEIGHBRIDGE_FAKE_DEVICE_BYTES"
CAPACITY_BYTES = 2**20
EXHAUSTED = "fake device memory exhausted"
FAULT_VARIABLE = "WEIGHBRIDGE_FAKE_FAULT"
"""`KIND` or `KIND@BATCH_SIZE`; KIND is one of `FAULTS`. Tests set it to see what becomes of a worker that fails."""

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _raise() -> None:
    raise RuntimeError("fake fault")


def _exhaust() -> None:
    raise RuntimeError(EXHAUSTED)


def _hang() -> None:
    signal.pause()


def _nothing() -> None:
    """What comes of these is seen in `FakeSession.step`."""


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


FAULTS = {
    "raise": _raise, "oom": _exhaust, "hang": _hang, "kill": _kill,
    **dict.fromkeys(("wrong", "wrong later", "stall", "remember", "remember all", "early", "threadless"), _nothing),
}  # fmt: skip
"""`remember` answers the last batch again, `remember all` any that it has met, without computing; `early` says that a
step is done when a tenth of it is; `wrong later` computes something else once it has been checked; `threadless` does
not say how many threads it has."""
CHECKED_STEPS = 4
"""A first step, and one a batch: from then on `wrong later` is wrong."""
SOUND_STEPS = 3
"""As many batches the reference prepares, in a process that must not fail."""
EARLY = 0.1
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
    devices = ("cpu", "cuda", "tpu")
    oom_signs = (EXHAUSTED,)

    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Loads an `mlp` without normalisation; another architecture is an error."""
        return self.loaded(model, weights, cell, "" if cell.precision == "fp64" else fault(cell))

    def loaded(self, model: ModelSpec, weights: Path, cell: Cell, broken: str = "") -> Session:
        """A session with this fault."""
        if model.architecture != "mlp" or model.config.get("layer_norm"):
            raise ValueError(f"fake computes only the mlp architecture, not {model.architecture}")
        dtype = np.float64 if cell.precision == "fp64" else np.float32
        arrays = {name: array.astype(dtype) for name, array in load_file(weights).items()}
        return (FakeSession if cell.device == "cpu" else DeviceSession)(arrays, model.config, broken, cell.device)

    def weights(self, model: ModelSpec, files: Files, training: Training | None) -> Arrays:
        """Seeded normal weights, scaled by fan-in: they are fit for parity, and score nothing. Or those of a file."""
        rng = np.random.default_rng(0)
        widths = [model.config["in_features"], *model.config["hidden"]]
        names = [f"layers.{index}" for index in range(len(widths) - 1)] + ["head"]
        sizes = [*widths, model.config["out_features"]]
        made: Arrays = {}
        if isinstance(model.weights, Packaged):
            found = load_file(files[model.weights.package] / model.weights.path)
            if lacking := [f"{name}.weight" for name in names if f"{name}.weight" not in found]:
                raise WeighbridgeError(f"the weights lack {lacking[0]}, which the module has")
            return found
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

    def __init__(self, weights: Arrays, config: dict[str, Any], fault: str, device: Device = "cpu") -> None:
        self.weights, self.config, self.fault = weights, config, fault
        self.device: Device = device
        self.depth = len(config["hidden"])
        self.activation = ACTIVATIONS[config.get("activation", "gelu")]
        self.now_s, self.steps, self.owed_s = 0.0, 0, 0.0
        self.met: set[bytes] = set()

    def to_device(self, batch: Arrays) -> np.ndarray:
        """features (B, F)."""
        return batch["features"].astype(self.weights["head.weight"].dtype)

    def step(self, x: np.ndarray) -> np.ndarray:
        """(B, F) -> (B, O)."""
        if self.steps >= SOUND_STEPS and self.fault:
            FAULTS[self.fault]()
        self.now_s += self._step_s(x) + (0 if self.steps else COMPILE_S)
        self.steps += 1
        if self.fault == "stall" and self.steps == STALL_AT_STEP:
            self.now_s += STALL_S
            time.sleep(STALL_S)
        return self._forward(x)

    def _step_s(self, x: np.ndarray) -> float:
        """As long as a step takes, or, of one that cheats, seems to take."""
        step_s, known = STEP_S + WOBBLE_S[self.steps % len(WOBBLE_S)], x.tobytes() in self.met
        if self.fault.startswith("remember"):
            self.met = (self.met if self.fault == "remember all" else set()) | {x.tobytes()}
        seems_s = step_s * EARLY if known or self.fault == "early" else step_s
        self.owed_s = step_s - seems_s if self.fault == "early" else 0.0
        return seems_s

    def _forward(self, x: np.ndarray) -> np.ndarray:
        for index in range(self.depth):
            x = self.activation(self._linear(f"layers.{index}", x))
        y = self._linear("head", x)
        late = self.fault == "wrong later" and self.steps > CHECKED_STEPS
        return y * 1.001 if late or self.fault == "wrong" else y

    def _linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def sync(self, y: np.ndarray) -> None:
        """Nothing is asynchronous here."""

    def to_host(self, y: np.ndarray) -> Arrays:
        """As the `mlp` architecture names it; work that is still owed is done now."""
        self.now_s, self.owed_s = self.now_s + self.owed_s, 0.0
        return {"prediction": y[:, 0] if y.shape[1] == 1 else y}

    def clock(self) -> float:
        """Seconds of fake time."""
        return self.now_s

    def mutants(self) -> dict[str, Callable[[], Session]]:
        """One that parity must see, one below what it can see, one that is none, and one that does not run."""
        bias_O = self.weights["head.bias"]
        biases = {"bias of the head lost": 0 * bias_O, "last bits": bias_O + 2**-24, "nothing": bias_O}
        changes: dict[str, Arrays] = {name: {"head.bias": bias_O} for name, bias_O in biases.items()}
        changes["head of another width"] = {"head.weight": self.weights["head.weight"][:, 1:]}
        return {name: partial(self._with, change) for name, change in changes.items()}

    def _with(self, changed: Arrays) -> Session:
        weights = {name: changed.get(name, held).astype(held.dtype) for name, held in self.weights.items()}
        return type(self)(weights, self.config, "", self.device)

    def cost(self, x: np.ndarray) -> Cost:
        """By the sizes of the weights."""
        products = sum(weights.size for name, weights in self.weights.items() if name.endswith("weight"))
        moved = sum(weights.nbytes for weights in self.weights.values()) + x.nbytes
        return Cost(flops=2.0 * products * len(x), bytes=float(moved), by="sizes of weights")

    def facts(self) -> dict[str, Any]:
        """Effective footing."""
        precision = str(self.weights["head.weight"].dtype)
        threads = None if self.fault == "threadless" else 1
        return {
            "threads": threads,
            "precision": precision,
            "scope": "model forward",
            "ran_on": self.device,
            "prepacked": [],
            "steps": self.steps,
        }


class Allocator:
    """Of a device's memory: bytes that live, their peak, and the peak of the blocks that hold them."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.live = self.peak = self.held = 0

    def take(self, size: int) -> None:
        """Raises where the blocks that would hold it exceed the capacity."""
        blocks = math.ceil((self.live + size) / BLOCK_BYTES) * BLOCK_BYTES
        if blocks > self.capacity:
            raise RuntimeError(f"{EXHAUSTED}: {size} bytes more than {self.live} do not fit in {self.capacity}")
        self.live += size
        self.peak, self.held = max(self.peak, self.live), max(self.held, blocks)

    def give(self, size: int) -> None:
        """Frees; its blocks stay held."""
        self.live -= size


class DeviceSession(FakeSession):
    """Hands steps in and returns: a figure taken without `sync` is that of handing in."""

    def __init__(self, weights: Arrays, config: dict[str, Any], fault: str, device: Device) -> None:
        super().__init__(weights, config, fault, device)
        self.memory = Allocator(int(os.environ.get(CAPACITY_VARIABLE, CAPACITY_BYTES)))
        self.memory.take(sum(array.nbytes for array in weights.values()))
        self.busy_until_s = 0.0

    def to_device(self, batch: Arrays) -> np.ndarray:
        """features (B, F), which live as long as the session."""
        x = super().to_device(batch)
        self.memory.take(x.nbytes)
        return x

    def step(self, x: np.ndarray) -> np.ndarray:
        """Queues the work behind what was handed in before. Compilation is the host's."""
        if self.steps >= SOUND_STEPS and self.fault:
            FAULTS[self.fault]()
        activations = self._activation_bytes(len(x))
        self.memory.take(activations)
        self.memory.give(activations)
        self.now_s += DISPATCH_S + (0 if self.steps else COMPILE_S)
        work_s = STEP_S * max(1.0, len(x) / ROWS_AT_ONCE) + WOBBLE_S[self.steps % len(WOBBLE_S)]
        self.busy_until_s = max(self.busy_until_s, self.now_s) + work_s
        self.steps += 1
        return self._forward(x)

    def _activation_bytes(self, rows: int) -> int:
        biases = [array for name, array in self.weights.items() if name.endswith("bias")]
        return rows * sum(array.nbytes for array in biases)

    def sync(self, y: np.ndarray) -> None:
        """Waits, on the fake clock."""
        self.now_s = max(self.now_s, self.busy_until_s)

    def to_host(self, y: np.ndarray) -> Arrays:
        """Refuses what is not done yet: a suite that reads without waiting is wrong."""
        if self.now_s < self.busy_until_s:
            raise RuntimeError("read from the fake device before it was done")
        return super().to_host(y)

    def reset_peak_memory(self) -> bool:
        """From here on, what lives now is the peak; blocks that nothing needs are given back."""
        self.memory.peak = self.memory.live
        self.memory.held = math.ceil(self.memory.live / BLOCK_BYTES) * BLOCK_BYTES
        return True

    def device_peak_bytes(self) -> int:
        """Of live bytes."""
        return self.memory.peak

    def device_reserved_bytes(self) -> int:
        """Of blocks."""
        return self.memory.held


def _gelu(x: np.ndarray) -> np.ndarray:
    return (x * 0.5 * (1 + _erf(x / math.sqrt(2)))).astype(x.dtype)


def _relu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0)


ACTIVATIONS = {"gelu": _gelu, "relu": _relu}
