"""The nouns: what is weighed, and by what. What is learned is in `bench.record`.

Everything here is frozen, holds no framework object, and can be read without importing one, since the
parent process, which plans and records, must stay thin. Units are in the names.
"""

from __future__ import annotations

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np

Arrays = dict[str, np.ndarray]
"""Named host arrays: inputs, targets, outputs or weights."""
Files = Mapping[str, Path]
"""Data package name -> folder that holds its verified, unpacked files."""

Family = Literal["classification", "regression", "generation", "embedding"]
Split = Literal["train", "eval"]
Preset = str
"""`small` or `base`; a task with several models of one size adds a suffix, as in `base-vit`."""
Scenario = Literal["infer", "generate", "train", "serve"]
Precision = Literal["fp64", "fp32", "tf32", "bf16", "fp16", "int8"]
"""`fp64` is the oracle's; a plan never asks for it."""
Device = Literal["cpu", "cuda", "tpu"]


class WeighbridgeError(Exception):
    """A request that cannot be served. Its text is one line: what is wrong and what to type instead."""


class Packaged(msgspec.Struct, frozen=True, tag="packaged"):
    """Weights that a data package carries, as a safetensors or GGUF file at `path` inside it."""

    package: str
    path: str


class Trained(msgspec.Struct, frozen=True, tag="trained"):
    """Weights that the reference trains once from `seed` by the task's recipe."""

    seed: int


class Seeded(msgspec.Struct, frozen=True, tag="seeded"):
    """Random weights drawn from `seed`: fit for speed, memory and parity; their score says nothing."""

    seed: int


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A model that any backend can build: an architecture, its arguments, and where its values come from.

    `architecture` names a builder in `backends/torch_nn/models.py` and a file in `backends/flax_nnx/models/`.
    """

    architecture: str
    config: dict[str, Any]
    weights: Packaged | Trained | Seeded


class Recipe(msgspec.Struct, frozen=True, kw_only=True):
    """How the reference trains a task's weights. AdamW under a one-cycle schedule; nothing is left to defaults."""

    epochs: int
    batch_size: int
    peak_learning_rate: float
    weight_decay: float
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    warmup_fraction: float = 0.3


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A figure of merit to reach, or a baseline to beat, and who measured it."""

    metric: str
    value: float
    higher_is_better: bool
    source: str


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Pre-processed rows. Axis 0 of every array in `inputs` and `targets` counts examples and agrees."""

    inputs: Arrays
    targets: Arrays

    def __len__(self) -> int:
        return len(next(iter(self.inputs.values())))


def whole_outputs(outputs: Arrays, targets: Arrays) -> Arrays:
    """The default `Task.digest`: keep a batch's outputs and targets as they are, side by side."""
    return {**outputs, **targets}


@dataclass(frozen=True, kw_only=True)
class Task:
    """A problem: real data, a model a preset, a loss, metrics and a quality target.

    `data(files, split, preset)` returns pre-processed rows; the same call returns the same bytes.
    `prompts(files, preset)` returns the inputs of scenario `generate`, where the task has one.
    `digest(outputs, targets)` reduces one scored batch (of a model's outputs) to the rows that `score` needs.
    `score(rows)` maps the digests of the whole split, concatenated on axis 0, to named figures.
    """

    name: str
    family: Family
    pattern: str
    version: int
    models: Mapping[Preset, ModelSpec]
    data: Callable[[Files, Split, Preset], Examples]
    score: Callable[[Arrays], dict[str, float]]
    target: Target
    baseline: Target
    scenarios: tuple[Scenario, ...]
    batch_size: Mapping[Preset, int]
    source: str
    licence: str
    digest: Callable[[Arrays, Arrays], Arrays] = whole_outputs
    prompts: Callable[[Files, Preset], Arrays] | None = None
    varying: Callable[[Files, Preset], list[Arrays]] | None = None
    """Examples in their natural lengths, for a study of changing shapes: axis 0 of each array is position, a position
    that is filled up with zeros changes no output of those before it. None where all examples have one shape."""
    packages: tuple[str, ...] = ()
    loss: str = ""
    recipe: Recipe | None = None
    decision: str = ""
    """The output whose argmax on the last axis must equal the reference's; empty where there is none."""
    generate_batch_size: int = 1
    item: str = "row"
    """What one example is called: throughput counts these a second."""
    latency_bound_s: float = 0.1
    """What a server's 99th percentile must hold: a tenth of a second feels instant (Nielsen, "Response Times"). A task
    whose model takes as long by itself on two cores names more; MLPerf gives a language model's first token 2 s."""

    def default_batch_size(self, preset: Preset, scenario: Scenario) -> int:
        """The batch size of a cell where a plan names none."""
        return self.generate_batch_size if scenario == "generate" else self.batch_size[preset]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to weigh. Two cells that differ only in `backend` are measured against each other."""

    task: str
    preset: Preset
    backend: str
    scenario: Scenario
    precision: Precision
    batch_size: int
    device: Device
    seed: int = 0

    @property
    def id(self) -> str:
        """Hash of the content: equal cells have equal ids on every machine."""
        return content_hash(self)

    @property
    def group(self) -> str:
        """The id that the cell shares with those that differ only in backend."""
        return content_hash(msgspec.structs.replace(self, backend=""))

    def __str__(self) -> str:
        driven = f"{self.scenario} {self.precision} b{self.batch_size} {self.device}"
        return f"{self.task}[{self.preset}] {self.backend} {driven}"


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What one step takes, counted and not timed. A multiplication with addition is two operations."""

    flops: float
    bytes: float
    """That must be moved at least: weights, inputs and outputs once; in a generation the weights once a token."""
    token_flops: float | None = None
    """Of one decoded token; None where nothing is decoded."""
    token_bytes: float | None = None
    by: str
    """What counted."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A piece of work of a known amount, done when `run` returns."""

    run: Callable[[], None]
    amount: float


class Session(ABC):
    """A model that is loaded and ready, in one scenario. Lives in a worker process of its own."""

    @abstractmethod
    def put(self, batch: Arrays) -> Any:
        """Host -> device, in this backend's natural layout. Untimed.

        A `generate` batch holds `input_ids` int (B, S) and `new_tokens` int (): how many tokens to produce. It may hold
        `follow` int (B, N): tokens that are fed in place of the model's own. Then `tokens` are still its own choice at
        each position, and `logit` is that of the followed token.
        """

    @abstractmethod
    def step(self, x: Any) -> Any:
        """One forward pass, or one whole generation. May return before the work is done."""

    @abstractmethod
    def sync(self, y: Any) -> None:
        """Returns only when the work that produces `y` is done."""

    @abstractmethod
    def get(self, y: Any) -> Arrays:
        """Device -> host. Outputs keep the names the model gives them, in the reference's layout, at least float32."""

    def forget_peaks(self) -> bool:
        """Starts the device's peaks anew from what lives now; False where this backend cannot."""
        return False

    def device_peak_bytes(self) -> int | None:
        """Peak of live device memory since `forget_peaks` where that can be, else since opening; None is "n/a"."""
        return None

    def device_reserved_bytes(self) -> int | None:
        """Peak of device memory that the allocator holds; None is "n/a"."""
        return None

    def cost(self, x: Any) -> Cost | None:
        """Operations and bytes of `step(x)`; None where this backend cannot count. Called after all timing."""
        return None

    def programs(self) -> int | None:
        """How many programs were compiled since opening; None where nothing is compiled."""
        return None

    def facts(self) -> dict[str, Any]:
        """What was effective, not what was asked for, read back from what ran. JSON-able.

        `threads`, `precision` and `scope` are footing: a backend that does not state one of them gets no ratio.
        `prepacked` lists what was done once to the weights at `open` and changes speed: laid anew, joined, frozen.
        """
        return {}

    def clock(self) -> float:
        """Seconds from a monotonic clock. Only a fake overrides it."""
        return time.perf_counter()

    def close(self) -> None:
        """Give everything back."""
        return


class Backend(ABC):
    """What executes a model. One concrete subclass a file; frameworks are imported inside methods."""

    name: ClassVar[str]
    extra: ClassVar[str] = ""
    """The extra of `weighbridge` that installs `requires`."""
    requires: ClassVar[tuple[str, ...]] = ()
    """Import names that must be found before a worker is started."""
    distributions: ClassVar[tuple[str, ...]] = ()
    """Distributions whose versions a record names."""
    devices: ClassVar[tuple[Device, ...]] = ("cpu",)
    scenarios: ClassVar[tuple[Scenario, ...]] = ("infer",)
    precisions: ClassVar[tuple[Precision, ...]] = ("fp32",)
    compiles: ClassVar[bool] = False
    """Whether a first call compiles, so that a second process is worth a warm-cache figure."""
    program_a_shape: ClassVar[bool] = False
    """Whether every new shape compiles a program anew: under load such a backend's batches are padded to few sizes."""
    camp: ClassVar[str] = ""
    """Whose users would run it: backends of one framework are one camp, and the best of the reference's camp is what
    the others are held against, beside the reference itself. Empty: a camp of its own."""
    hidden: ClassVar[bool] = False
    """Whether listings leave it out: it serves tests and calibration."""
    oom_signs: ClassVar[tuple[str, ...]] = ()
    """Texts by which this backend's exceptions say that memory ran out."""
    import_fixes: ClassVar[Mapping[str, str]] = {}
    """Texts of import errors -> what they mean, and what to type."""

    def why_not(self, cell: Cell) -> str | None:
        """The reason to skip `cell`, in words a user can act on. Called in the parent: imports nothing."""
        if cell.device not in self.devices:
            return f"{self.name} does not run on {cell.device}; it runs on {', '.join(self.devices)}"
        if cell.scenario not in self.scenarios:
            return f"{self.name} does not do {cell.scenario}; it does {', '.join(self.scenarios)}"
        if cell.precision not in self.precisions:
            return f"{self.name} has no {cell.precision}; it has {', '.join(self.precisions)}"
        return None

    def env(self, cell: Cell, cache: Path) -> dict[str, str]:
        """Environment variables of the worker process, set before it starts. `cache` is for compiled programs."""
        return {}

    def imports(self, model: ModelSpec) -> tuple[str, ...]:
        """What a worker imports before it opens `model`: what that takes is the libraries', not the model's."""
        return self.requires

    @abstractmethod
    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Builds the model and loads `weights`, a safetensors file with PyTorch's names and layouts."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the reference needs to train a model's weights, and the ear it reports progress to."""

    loss: str
    recipe: Recipe
    examples: Examples
    seed: int
    progress: Callable[[float], None] = field(default=lambda fraction: None)
    """Called with the fraction done, 0 to 1."""


class Reference(Backend):
    """The backend that all others are proven against. It also makes the weights that they all load."""

    @abstractmethod
    def weights(self, model: ModelSpec, files: Files, training: Training | None) -> Arrays:
        """Trained, unpacked or seeded weights: PyTorch names and layouts, float32."""

    @abstractmethod
    def large_product(self, precision: Precision, device: Device) -> Work:
        """A matrix product that fills the device; its amount is in operations, two a multiplication."""

    @abstractmethod
    def large_copy(self, device: Device) -> Work:
        """A copy that fits no cache; its amount is in bytes read and written."""


def content_hash(value: Any) -> str:
    """16 hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:16]


def arrays_hash(arrays: Arrays) -> str:
    """16 hex digits of the sha256 of names, dtypes, shapes and bytes, in order of name."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
