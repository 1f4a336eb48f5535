"""Records of earlier schemas, read as records of today's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from bench.core.record import SCHEMA


def _from_1(old: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 added blocks, pairing and the reason to stop: one block, timed apart from every other cell."""
    steps = len(old.get("step_s", []))
    stopped_by = {True: "converged", False: "time cap", None: ""}[old.get("settled")]
    new = {"blocks": [[steps]] if steps else [], "pairing": "sequential" if steps else "", "stopped_by": stopped_by}
    return {**old, **new}


def _from_2(old: dict[str, Any]) -> dict[str, Any]:
    """Schema 3 made the host's allocator footing; until then every worker had it as it came."""
    timed = {"host_allocator": "as it comes"} if old.get("step_s") else {}
    return {**old, "facts": {**timed, **old.get("facts", {})}}


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1, 2: _from_2}
"""From each older schema to the next, on decoded JSON."""


def migrated(line: bytes, schema: int) -> dict[str, Any] | None:
    """A line of an older schema as decoded JSON of this one; None where nothing leads from there to here."""
    if schema not in MIGRATIONS:
        return None
    fields = msgspec.json.decode(line)
    for step in range(schema, SCHEMA):
        fields = {**MIGRATIONS[step](fields), "schema": step + 1}
    return fields
