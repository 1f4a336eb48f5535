"""What a process that runs nobody's code knows of a task or a backend: plain values, described by a child process."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from weighbridge.bench.core.cell import Device, Precision, Preset, Way
from weighbridge.bench.core.task import Family, ModelSpec, Recipe, Target

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,79}$")]
"""Of a task, a preset or a backend: names become names of files and words of a command line."""


class BackendCard(msgspec.Struct, frozen=True, kw_only=True):
    """A backend; see `Backend`, whose class variables these are."""

    name: Name
    module: str
    """An import path, or the path of a file that ends in `.py`."""
    problem: str = ""
    """Why it cannot be described, in one line. It can then do nothing, and its name is its module's."""
    code: tuple[Path, ...] = ()
    """Source files that its figures hang on."""
    reference: bool = False
    """Whether others can be proven against it."""
    extra: str = ""
    requires: tuple[str, ...] = ()
    distributions: tuple[str, ...] = ()
    devices: tuple[Device, ...] = ()
    scenarios: tuple[Way, ...] = ()
    precisions: tuple[Precision, ...] = ()
    compiles: bool = False
    program_a_shape: bool = False
    camp: str = ""
    hidden: bool = False
    import_fixes: dict[str, str] = {}
    formats: tuple[Name, ...] = ()
    """Of files that it exports to."""
    options: tuple[str, ...] = ()
    """Names of what `-O` can change."""


class TaskCard(msgspec.Struct, frozen=True, kw_only=True):
    """A task; see `Task`, whose plain fields these are."""

    name: Name
    module: str
    """An import path, or the path of a file that ends in `.py`."""
    code: tuple[Path, ...]
    """Source files that its figures hang on."""
    family: Family
    version: int
    models: dict[Name, ModelSpec]
    target: Target
    baseline: Target
    scenarios: tuple[Way, ...]
    batch_size: dict[Name, int]
    generate_batch_size: int
    recipe: Recipe | None
    packages: tuple[str, ...]
    source: str
    licence: str
    item: str
    latency_bound_s: float
    varies: bool
    """Whether it has examples in their natural lengths."""

    def default_batch_size(self, preset: Preset, way: Way) -> int:
        """The batch size of a cell where a plan names none."""
        return self.generate_batch_size if way == "generate" else self.batch_size[preset]
