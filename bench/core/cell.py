"""What is measured: a cell, and how its measurement ended."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from weighbridge.bench.core.arrays import content_hash
from weighbridge.bench.core.settings import Pairs, words

MOST_ROWS = 2**31 - 1
"""Of a batch: what frameworks count with 32 bits."""
Preset = str
"""`small` or `base`; a task with several models of one size adds a suffix, as in `base-vit`."""
Way = Literal["infer", "generate"]
"""How a backend opens a model: for forward passes, or for whole generations. A scenario drives one of them."""
Precision = Literal["fp64", "fp32", "tf32", "bf16", "fp16", "int8"]
"""`fp64` is the oracle's; a plan never asks for it."""
Device = Literal["cpu", "cuda", "tpu"]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to weigh. Cells that differ only in `backend` and its `options` are measured against each other."""

    task: str
    preset: Preset
    backend: str
    scenario: str
    """One of `bench.scenarios.catalog`."""
    precision: Precision
    batch_size: Annotated[int, Meta(ge=1, le=MOST_ROWS)]
    device: Device
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] = 0
    settings: Pairs = ()
    """Of its scenario."""
    options: Pairs = ()
    """Of its backend."""
    weights: Annotated[str, Meta(pattern="^([0-9a-f]{12})?$")] = ""
    """Of a file that a user gave, 12 hex digits of its sha256; empty for the task's own."""

    @property
    def id(self) -> str:
        """Hash of the content: equal cells have equal ids on every machine."""
        fields = msgspec.structs.asdict(self)
        return content_hash({name: value for name, value in fields.items() if value not in ((), "")})

    @property
    def group(self) -> str:
        """The id that the cell shares with those that differ only in backend and options."""
        return msgspec.structs.replace(self, backend="", options=()).id

    def is_reference(self, backend: str) -> bool:
        """Whether ratios of its group are to this cell: it is that backend's, without options."""
        return self.backend == backend and not self.options

    @property
    def executor(self) -> str:
        """The backend, and its options where there are any."""
        return f"{self.backend}({', '.join(words(self.options))})" if self.options else self.backend

    def __str__(self) -> str:
        driven = " ".join([self.scenario, self.precision, f"b{self.batch_size}", self.device, *words(self.settings)])
        model = f"{self.preset}, weights {self.weights}" if self.weights else self.preset
        return f"{self.task}[{model}] {self.executor} {driven}"


Status = Literal["ok", "skipped", "oom", "timeout", "crashed", "parity_failed", "implausible"]
"""`implausible`: faster than it can be, or what was timed is not what was checked; the reason says which."""
Pairing = Literal["interleaved", "sequential", ""]
"""Whether the cells of a group took turns; empty where nothing was timed."""
StoppedBy = Literal["converged", "time cap", ""]
