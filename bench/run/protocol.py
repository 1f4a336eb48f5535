"""What parent and worker say to each other: JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from bench.core.card import BackendCard, TaskCard
from bench.core.cell import Cell
from bench.scenarios import catalog
from bench.scenarios.base import Request
from bench.scenarios.serve.requests import LoadRequest
from bench.scenarios.steps.requests import Opened
from bench.scenarios.varying_shapes.requests import Churn
from bench.storage.prepared import Artefacts


class Prepare(Request[Artefacts], frozen=True, tag="prepare"):
    """Make sure that the artefacts of a cell's group are in the cache. Sent to the reference's worker."""

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
    artefacts: Artefacts
    files: dict[str, Path]


WorkerRequest: Any = Prepare | Open | Churn | LoadRequest | catalog.requests()
"""Its own, those of studies, and those of every scenario."""


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
