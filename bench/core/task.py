"""What a task is made of: data, models, metrics and a target. A task is one file in `tasks/`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from weighbridge.bench.core.arrays import Arrays, Files
from weighbridge.bench.core.cell import Preset, Way

Family = Literal["classification", "regression", "generation", "embedding"]
Split = Literal["train", "eval"]


class Packaged(msgspec.Struct, frozen=True, tag="packaged"):
    """Weights that a data package carries, as a safetensors or GGUF file at `path` inside it."""

    package: str
    path: str
    prefix: str = ""
    """What the model has before each name of the file, as `bert.` where the file is only the model's body."""


class Trained(msgspec.Struct, frozen=True, tag="trained"):
    """Weights that the reference trains once by the task's recipe: all from `seed`, or those of `start` from there."""

    seed: int
    start: Packaged | None = None


class Seeded(msgspec.Struct, frozen=True, tag="seeded"):
    """Random weights drawn from `seed`: fit for speed, memory and parity; their score says nothing."""

    seed: int


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A model that any backend can build: an architecture, its arguments, and where its values come from.

    `architecture` names a file in `backends/torch_nn/architectures/` and one in `backends/flax_nnx/models/`.
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
class Generated:
    """How whole generations are scored, where parity alone does not say what they are worth.

    `examples(files, preset)` returns what to generate from, and targets; `score(rows)` maps the outputs beside the
    targets of all of them to named figures.
    """

    examples: Callable[[Files, Preset], Examples]
    score: Callable[[Arrays], dict[str, float]]


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
    scenarios: tuple[Way, ...]
    batch_size: Mapping[Preset, int]
    source: str
    licence: str
    digest: Callable[[Arrays, Arrays], Arrays] = whole_outputs
    prompts: Callable[[Files, Preset], Arrays] | None = None
    generated: Generated | None = None
    """None where a generation is held to the reference's alone, as greedy text is."""
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
