"""The nouns: what is weighed, and by what. What is learned is in `bench.core.record`.

Everything here is frozen, holds no framework object, and can be read without importing one, since the
parent process, which plans and records, must stay thin. Units are in the names.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from weighbridge.bench.core.arrays import Arrays, Facts, Files
from weighbridge.bench.core.cell import Cell, Device, Precision, Way
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.settings import Settings
from weighbridge.bench.core.task import Examples, ModelSpec, Recipe


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


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a backend says of an export, to whoever loads its files without this program."""

    loading: str
    """Lines of Python that make `outputs` of `inputs`, both named arrays, where the folder is the working directory."""
    note: str = ""
    """What must be known of the files besides, in a sentence."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """A piece of work of a known amount, done when `run` returns."""

    run: Callable[[], None]
    amount: float


class Session(ABC):
    """A model that is loaded and ready, in one scenario. Lives in a worker process of its own."""

    @abstractmethod
    def to_device(self, batch: Arrays) -> Any:
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
    def to_host(self, y: Any) -> Arrays:
        """Device -> host. Outputs keep the names the model gives them, in the reference's layout, at least float32."""

    def reset_peak_memory(self) -> bool:
        """Starts the device's peaks anew from what lives now; False where this backend cannot."""
        return False

    def device_peak_bytes(self) -> int | None:
        """Peak of live device memory since `reset_peak_memory` where that can be, else since opening; None is "n/a"."""
        return None

    def device_reserved_bytes(self) -> int | None:
        """Peak of device memory that the allocator holds; None is "n/a"."""
        return None

    def cost(self, x: Any) -> Cost | None:
        """Operations and bytes of `step(x)`; None where this backend cannot count. Called after all timing."""
        return None

    def mutants(self) -> Mapping[str, Callable[[], Session]]:
        """Return sessions of this model with one mistake each, by what it is, each made when it is called.

        They are what a port gets wrong, and show what the parity check sees. Here there are none.
        """
        return {}

    def programs(self) -> int | None:
        """Count the programs that were compiled since opening; None where nothing is compiled."""
        return None

    def facts(self) -> Facts:
        """Return what was effective, not what was asked for, read back from what ran. JSON-able.

        `threads`, `precision`, `scope` and `ran_on` are footing: a backend that does not state one of them gets no
        ratio. `ran_on` is the `Device` that the last outputs came from, or the weights lie on; a cell whose device is
        another is `implausible`.
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
    scenarios: ClassVar[tuple[Way, ...]] = ("infer",)
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
    formats: ClassVar[tuple[str, ...]] = ()
    """Names of the file formats that it exports a model in, and opens again by those files alone."""
    Options: ClassVar[type[Settings]] = Settings
    """What `-O key=value` can change, with defaults. A cell's `options` hold what differs from these."""
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
        """Return what a worker imports before it opens `model`: what that takes is the libraries', not the model's."""
        return self.requires

    @abstractmethod
    def open(self, model: ModelSpec, weights: Path, cell: Cell) -> Session:
        """Builds the model and loads `weights`, a safetensors file with PyTorch's names and layouts."""

    def export(self, model: ModelSpec, weights: Path, cell: Cell, batch: Arrays, form: str, folder: Path) -> Written:
        """Write a model's forward pass into an empty folder, for any number of rows of inputs like `batch`.

        `form` is one of `formats`. Files lie in the folder itself, and nothing in them is pickled.
        """
        raise WeighbridgeError(f"{self.name} exports nothing")

    def reopen(self, folder: Path, form: str, model: ModelSpec, cell: Cell) -> Session:
        """Open what `export` wrote, by nothing but its files, to step through batches of any number of rows.

        `model` is for formats that hold weights and no graph. Raises WeighbridgeError where a file would run code.
        """
        raise WeighbridgeError(f"{self.name} opens no exports")


@dataclass(frozen=True, kw_only=True)
class Training:
    """What the reference needs to train a model's weights, and a progress callback."""

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
