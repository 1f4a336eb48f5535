"""A plug-in under test, the reference that it is held to, and what both are fed."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from weighbridge.bench.core.arrays import Arrays, content_hash
from weighbridge.bench.core.backend import Backend, Reference, Session
from weighbridge.bench.core.card import BackendCard
from weighbridge.bench.core.cell import Cell, Device, Precision
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.task import ModelSpec, Seeded
from weighbridge.bench.measure import environment
from weighbridge.bench.run import cards, jobs, registry
from weighbridge.bench.run.registry import BACKENDS, Folder

SUITE = "quick"
"""Its reference is the kit's, where a test class names no other."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """A model with seeded weights, and batches for it: `batch(rows, seed)` gives other values for another seed."""

    model: ModelSpec
    batch: Callable[[int, int], Arrays]
    rows: int


def perceptron(features: int, hidden: Sequence[int], outputs: int, rows: int, activation: str = "gelu") -> Case:
    """An `mlp`: `features` (rows, features) to `prediction` (rows, outputs)."""
    config = {"in_features": features, "hidden": [*hidden], "out_features": outputs, "activation": activation}

    def batch(rows: int, seed: int) -> Arrays:
        return {"features": np.random.default_rng(seed).normal(size=(rows, features)).astype(np.float32)}

    return Case(model=ModelSpec(architecture="mlp", config=config, weights=Seeded(seed=3)), batch=batch, rows=rows)


def card_of(name: str, folder: Folder) -> str:
    """The name of what is installed under it, or of the only one that a file defines."""
    found = cards.named([name], folder)
    if len(found) != 1:
        raise WeighbridgeError(f"{name} defines {', '.join(found)}; name one of them")
    return found[0]


def reference_of(name: str) -> Reference:
    """The reference of this name; of suite quick where there is none. Fails with what to type where it lacks."""
    card = cards.reference(name or jobs.suite_of(SUITE).reference)
    if lacking := cards.not_installed(card):
        pytest.fail(f"nothing to hold it to: {lacking}", pytrace=False)
    return registry.reference(card.module, card.name)


def outputs_of(session: Session, batch: Arrays) -> Arrays:
    """A step's outputs, on the host."""
    y = session.step(session.to_device(batch))
    session.sync(y)
    return session.to_host(y)


class Subject:
    """A backend under test. What it opens is closed when a test ends."""

    def __init__(self, card: BackendCard, backend: Backend, reference: Reference, folder: Path) -> None:
        self.card, self.backend, self.reference, self.folder = card, backend, reference, folder
        self.open_sessions: list[Session] = []
        self.expected: dict[tuple[str, Precision], Arrays] = {}

    @property
    def devices(self) -> list[Device]:
        """Those of its devices that this machine has."""
        return [device for device in self.backend.devices if environment.has_device(device)]

    def cell(self, **changes: Any) -> Cell:
        """On the first device that can do this; the test is skipped, in the backend's words, where none can."""
        cells = [self._cell(**{"device": device, **changes}) for device in self.devices]
        reasons = [self.backend.why_not(cell) for cell in cells]
        able = next((cell for cell, reason in zip(cells, reasons, strict=True) if reason is None), None)
        if able is None:
            pytest.skip("; ".join(filter(None, reasons)) or f"this machine has none of {self.backend.devices}")
        return able

    def _cell(self, **changes: Any) -> Cell:
        plain: dict[str, Any] = {
            "task": "conformance",
            "preset": "small",
            "backend": self.card.name,
            "scenario": "infer",
            "precision": "fp32",
            "batch_size": 8,
            "device": "cpu",
        }
        return Cell(**{**plain, **changes})

    def asked(self, **changes: Any) -> Cell:
        """A cell that it may be unable to do."""
        return self._cell(**changes)

    def weights(self, model: ModelSpec) -> Path:
        """A file of the reference's, made once."""
        path = self.folder / f"{content_hash(model)}.safetensors"
        if not path.exists():
            save_file(self.reference.weights(model, {}, None), path)
        return path

    def open(self, model: ModelSpec, weights: Path | None = None, **cell: Any) -> Session:
        """A session of its own."""
        return self.kept(self.backend.open(model, weights or self.weights(model), self.cell(**cell)))

    def kept(self, session: Session) -> Session:
        """One that is closed when the test ends."""
        self.open_sessions.append(session)
        return session

    def close(self) -> None:
        """All that is open."""
        while self.open_sessions:
            self.open_sessions.pop().close()

    def references(self, case: Case, precision: Precision) -> Arrays:
        """The reference's outputs on a case's first batch, on the CPU."""
        key = content_hash(case.model), precision
        if key not in self.expected:
            cell = self._cell(backend=self.reference.name, precision=precision)
            session = self.reference.open(case.model, self.weights(case.model), cell)
            self.expected[key] = outputs_of(session, case.batch(case.rows, 0))
            session.close()
        return self.expected[key]

    def without_a_tensor(self, model: ModelSpec) -> Path:
        """The weights, less the last of them."""
        whole = load_file(self.weights(model))
        path = self.folder / "less.safetensors"
        save_file({name: whole[name] for name in sorted(whole)[:-1]}, path)
        return path


def backend_subject(name: str, reference: str, folder: Path) -> Subject:
    """The backend called `name`, whose code runs here from now on."""
    card = cards.backend(card_of(name, BACKENDS))
    if problem := card.problem or cards.not_installed(card):
        pytest.fail(problem, pytrace=False)
    return Subject(card, registry.backend(card.module, card.name), reference_of(reference), folder)


def is_typed(error: BaseException) -> bool:
    """Whether an error says what it is: by its type, and in words."""
    return type(error) not in (BaseException, Exception, AssertionError, SystemExit) and bool(str(error).strip())


def as_seeded(model: ModelSpec) -> ModelSpec:
    """The same model with weights that need neither data nor training."""
    return msgspec.structs.replace(model, weights=Seeded(seed=0))


def unfinite(figures: dict[str, float]) -> list[str]:
    """The names of figures that are no finite number."""
    return [name for name, value in figures.items() if not math.isfinite(value)]
