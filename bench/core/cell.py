"""What is measured: a cell, and how its measurement ended."""

from __future__ import annotations

from typing import Literal

import msgspec

from bench.core.arrays import content_hash

Preset = str
"""`small` or `base`; a task with several models of one size adds a suffix, as in `base-vit`."""
Way = Literal["infer", "generate"]
"""How a backend opens a model: for forward passes, or for whole generations. A scenario drives one of them."""
Precision = Literal["fp64", "fp32", "tf32", "bf16", "fp16", "int8"]
"""`fp64` is the oracle's; a plan never asks for it."""
Device = Literal["cpu", "cuda", "tpu"]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to weigh. Two cells that differ only in `backend` are measured against each other."""

    task: str
    preset: Preset
    backend: str
    scenario: str
    """One of `bench.scenarios.catalog`."""
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


Status = Literal["ok", "skipped", "oom", "timeout", "crashed", "parity_failed", "implausible"]
"""`implausible`: faster than it can be, or what was timed is not what was checked; the reason says which."""
Pairing = Literal["interleaved", "sequential", ""]
"""Whether the cells of a group took turns; empty where nothing was timed."""
StoppedBy = Literal["converged", "time cap", ""]
