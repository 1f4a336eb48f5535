"""What parent and worker say to each other: JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from weighbridge.bench.core.card import BackendCard, TaskCard
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.scenarios import catalog
from weighbridge.bench.scenarios.base import Request
from weighbridge.bench.scenarios.steps.requests import Opened
from weighbridge.bench.storage.prepared import Prepared


class Prepare(Request[Prepared], frozen=True, tag="prepare"):
    """Make sure that what a cell's group needs is in the cache. Sent to the reference's worker."""

    cell: Cell
    root: Path
    files: dict[str, Path]
    task: TaskCard
    reference: BackendCard


class Open(Request[Opened], frozen=True, tag="open"):
    """Load a cell's model and stage its batch on the device."""

    cell: Cell
    task: str
    """The module that defines it."""
    backend: str
    """The module that defines it."""
    prepared: Prepared
    files: dict[str, Path]


WorkerRequest: Any = Prepare | Open | catalog.requests()
"""Its own, and those of every scenario."""


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a request gave, a fraction of its progress, or the kind and reason of its failure."""

    value: msgspec.Raw = msgspec.Raw(b"null")
    """As `bench.scenarios.base.answer_type` reads it."""
    progress: float | None = None
    failure: str = ""
    reason: str = ""


def path_from(kind: type, value: Any) -> Any:
    """Paths travel as text."""
    return kind(value)


encoder = msgspec.json.Encoder(enc_hook=str)
request_decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(WorkerRequest, dec_hook=path_from)


def answered(value: object) -> Answer:
    """The answer that gives `value`."""
    return Answer(value=msgspec.Raw(encoder.encode(value)))
