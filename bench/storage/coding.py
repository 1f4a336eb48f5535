"""A record as a line of JSON, and back.

Records of an older schema are migrated as they are read, a version at a time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import msgspec

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.record import SCHEMA, Noise, Provenance, Record
from weighbridge.bench.storage.contradictions import contradiction
from weighbridge.bench.storage.files import UNREADABLE
from weighbridge.bench.storage.migrations import migrated

encoder = msgspec.json.Encoder(order="deterministic")
SHARED: dict[str, Any] = {
    "facts": dict[str, Any],
    "environment": dict[str, Any],
    "about": Provenance | None,
    "noise": Noise | None,
}
"""Fields that are alike in most records of a run: equal texts are decoded once and share the result, so that a
hundred thousand records fit in memory."""
EMPTY = {"facts": b"{}", "environment": b"{}", "about": b"null", "noise": b"null"}


def _default(field: Any) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return msgspec.field(default_factory=field.default_factory)
    return msgspec.field(default=field.default)


_Line: Any = msgspec.defstruct(
    "_Line",
    [
        (each.name, msgspec.Raw, msgspec.Raw(EMPTY[each.name]))
        if each.name in SHARED
        else (each.name, each.type, _default(each))
        for each in msgspec.structs.fields(Record)
    ],
    kw_only=True,
    frozen=True,
)
decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(_Line)


class UnreadableError(Exception):
    """Why a line is no record."""


def record_of(line: bytes) -> Record:
    """One record, of this schema or an older one. Raises UnreadableError where the line is none."""
    try:
        found = decoder.decode(line)
        record = _decoded(found) if found.schema == SCHEMA else msgspec.convert(migrated(line, found.schema), Record)
    except UNREADABLE as error:
        raise UnreadableError(str(error)) from error
    if reason := contradiction(record):
        raise UnreadableError(reason)
    return record


def _decoded(line: Any) -> Record:
    fields = msgspec.structs.asdict(line)
    for name, values in _shared.items():
        fields[name] = values.of(fields[name])
    return Record(**fields)


def parse(line: bytes) -> Record | None:
    """One record, or None where the line is not one of this schema or an older one."""
    try:
        return record_of(line)
    except UnreadableError:
        return None


class _Shared:
    """The values of a field, by their texts. A text is mostly the last one again, which is told without hashing it."""

    def __init__(self, kind: Any) -> None:
        self._by_text = lru_cache(maxsize=4096)(msgspec.json.Decoder(kind).decode)
        self._last: tuple[msgspec.Raw, Any] = (msgspec.Raw(), None)

    def of(self, text: msgspec.Raw) -> Any:
        """The value of a text; equal texts have the same one."""
        last, value = self._last
        if text != last:
            value = self._by_text(bytes(text))
            self._last = (text, value)
        return value


_shared = {name: _Shared(kind) for name, kind in SHARED.items()}


class _Head(msgspec.Struct):
    cell: Cell


head = msgspec.json.Decoder(_Head)


def cell_of(line: bytes) -> Cell | None:
    """The cell of a record, without the rest; None where the line is none."""
    try:
        return head.decode(line).cell
    except UNREADABLE:
        return None
