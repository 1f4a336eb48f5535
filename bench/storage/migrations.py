"""Records of earlier schemas, read as records of today's."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate, pairwise
from typing import Any

import msgspec

from weighbridge.bench.core.record import SCHEMA

Fields = dict[str, Any]
"""A record as decoded JSON, of a schema that no class describes any more."""


def _from_1(old: Fields) -> Fields:
    """Schema 2 added blocks, pairing and the reason to stop: one block, timed apart from every other cell."""
    steps = len(old.get("step_s", []))
    stopped_by = {True: "converged", False: "time cap", None: ""}[old.get("settled")]
    new = {"blocks": [[steps]] if steps else [], "pairing": "sequential" if steps else "", "stopped_by": stopped_by}
    return {**old, **new}


def _from_2(old: Fields) -> Fields:
    """Schema 3 made the host's allocator footing; until then every worker had it as it came."""
    timed = {"host_allocator": "as it comes"} if old.get("step_s") else {}
    return {**old, "facts": {**timed, **old.get("facts", {})}}


OF_THE_FIRST = {
    "warmup_s": "warmup_s",
    "first_token_s": "first_token_s",
    "compile_s": "first_s",
    "compile_host_peak_bytes": "first_peak_bytes",
    "host_import_bytes": "import_bytes",
    "energy_j_per_step": "energy_j_per_step",
}
"""Fields of schema 3 that say of all processes together what is now said of each: kept in the first."""
STEADY = ("host_peak_bytes", "device_peak_bytes", "device_reserved_bytes", "device_process_bytes")
"""Fields of schema 3 that are the peaks of all processes but the first, where there are several: kept in the second."""
CUT = ("step_s", "blocks", "crowded", "minor_faults", "queued_step_s", "queued_blocks", "warm_compile_s")


def _from_3(old: Fields) -> Fields:
    """Schema 4 holds together what a process gave."""
    flat = {name: old.get(name) for name in (*OF_THE_FIRST, *STEADY, *CUT)}
    rest = {name: value for name, value in old.items() if name not in flat}
    return {**rest, "processes": processes_of(**flat)}


def processes_of(
    step_s: list[float] | None,
    blocks: list[list[int]] | None,
    crowded: list[list[bool]] | None,
    minor_faults: list[list[float]] | None,
    queued_step_s: list[float] | None,
    queued_blocks: list[int] | None,
    warm_compile_s: float | None,
    **others: Any,
) -> list[Fields]:
    """The processes that the fields of schema 3 tell of: lists are cut where they name the process of each entry."""
    told = queued_blocks if sum(queued_blocks or []) == len(queued_step_s or []) else None
    cut = {
        "step_s": _cut(step_s or [], [sum(process) for process in blocks or []]),
        "blocks": blocks or [],
        "crowded": crowded or [],
        "minor_faults": minor_faults or [],
        "queued_step_s": _cut(queued_step_s or [], told or []),
    }
    known = {name: value for name, value in others.items() if value not in (None, [])}
    fewest = 2 if warm_compile_s is not None else min(1, len(known))
    found: list[Fields] = [{} for _ in range(max(fewest, *map(len, cut.values())))]
    for name, parts in cut.items():
        for process, part in zip(found, parts, strict=False):
            process[name] = part
    if queued_step_s and not told:
        found[0]["queued_in_turns"] = False
    for name, value in known.items():
        found[min(1, len(found) - 1) if name in STEADY else 0][OF_THE_FIRST.get(name, name)] = value
    if warm_compile_s is not None:
        found[1] |= {"first_s": warm_compile_s, "compiled": True}
    return found


def _cut(values: list[float], counts: list[int]) -> list[list[float]]:
    """So many for each process; what is left over is the last one's: a list that fits nothing still does not."""
    ends = [*accumulate(counts[:-1]), len(values)]
    return [values[begin:end] for begin, end in pairwise([0, *ends])] if values else []


MIGRATIONS: dict[int, Callable[[Fields], Fields]] = {1: _from_1, 2: _from_2, 3: _from_3}
"""From each older schema to the next, on decoded JSON."""


def migrated(line: bytes, schema: int) -> Fields | None:
    """A line of an older schema as decoded JSON of this one; None where nothing leads from there to here.

    Raises msgspec.ValidationError where its fields have other types than that schema's.
    """
    if schema not in MIGRATIONS:
        return None
    fields = msgspec.json.decode(line)
    try:
        for step in range(schema, SCHEMA):
            fields = {**MIGRATIONS[step](fields), "schema": step + 1}
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise msgspec.ValidationError(f"no record of schema {schema}: {error}") from error
    return fields
