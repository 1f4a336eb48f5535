"""load.jsonl and churn.jsonl, which `weighbridge load` and `churn` wrote before they were scenarios, read as records.

A line of load.jsonl told of a cell's four scenarios, of which each is a cell of its own now; one of churn.jsonl of a
padding strategy, which is a setting now. No file is rewritten for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.record import Record
from weighbridge.bench.scenarios.serve.audit import AuditResult
from weighbridge.bench.scenarios.serve.settings import ServerSettings
from weighbridge.bench.scenarios.varying_shapes.settings import ShapesSettings
from weighbridge.bench.storage.migrations import Fields

SHARED = ("status", "reason", "parity", "facts", "environment", "about", "started", "wall_s")
KINDS = ("single_stream", "multi_stream", "offline", "server")


def of_load(old: Fields) -> Iterator[Fields]:
    """Yield a record a scenario that was asked for; of a cell that failed, one of each."""
    audit, process_of = old.get("audit"), {"offline": _offline, "server": _server}
    for kind in KINDS:
        told = old.get(kind)
        if told is None and old["status"] == "ok":
            continue
        cell = {**old["cell"], "scenario": kind}
        if kind == "server":
            cell["settings"] = _server_settings(told)
        record = {**_shared(old), "cell": cell, "tier": old.get("tier", "quick")}
        if told is not None:
            items, process = process_of.get(kind, _stream)(told, old["cell"]["batch_size"])
            process["result"]["audit"] = audit
            process |= {"first_s": old.get("first_s")}
            record |= {
                "items_per_step": items,
                "item": "query" if kind == "server" else "",
                "pairing": "sequential",
                "processes": [process],
            }
        yield record | _doubted(audit)


def _doubted(audit: Fields | None) -> Fields:
    """Return what an audit that did not pass makes of a record."""
    reason = msgspec.convert(audit, AuditResult).reason if audit else ""
    return {"status": "implausible", "reason": reason} if reason else {}


def _stream(told: Fields, batch_size: int) -> tuple[int, Fields]:
    steps: list[float] = told["latencies_s"]
    result = {"type": "stream", "version": 1, "samples": told["samples"]}
    return told["samples"], {**_one_block(steps), "result": result}


def _offline(told: Fields, batch_size: int) -> tuple[int, Fields]:
    result = {"type": "offline", "version": 1, **told}
    return batch_size, {**_one_block([told["seconds"] * batch_size / told["samples"]]), "result": result}


def _server(told: Fields, batch_size: int) -> tuple[int, Fields]:
    best = told["search"]["best"]
    result = {"type": "server", "version": 1, **told}
    return 1, {**_one_block([1 / best["rate"]] if best else []), "result": result}


def _one_block(steps: list[float]) -> Fields:
    return {"step_s": steps, "blocks": [len(steps)] if steps else [], "crowded": [False] if steps else []}


def _server_settings(told: Fields | None) -> list[tuple[str, Any]]:
    if told is None:
        return []
    usual, policy = ServerSettings(), told["policy"]
    named = [("bound_s", told["bound_s"])]
    named += [(name, policy[name]) for name in ("linger_s", "queue") if policy[name] != getattr(usual, name)]
    return sorted(named)


def of_churn(old: Fields) -> Iterator[Fields]:
    """Yield the one record of a padding strategy."""
    strategy, told = old["strategy"].replace(" ", "_"), old.get("passed")
    settings: Fields = {"strategy": strategy}
    if strategy == "best":
        passes = {"passes": old["passes"]} if old["passes"] not in (None, ShapesSettings().passes) else {}
        settings |= {"lengths": ",".join(map(str, old["lengths"])), "pad_rows": old["pads_rows"], **passes}
    if told and len(told["shapes"]) != ShapesSettings().batches:
        settings["batches"] = len(told["shapes"])
    cell = {**old["cell"], "scenario": "varying_shapes", "settings": sorted(settings.items())}
    record = {**_shared(old), "cell": cell}
    if told:
        passes_s = [sum(seconds) for seconds in told["steady_s"]]
        process = {
            "first_s": told["cold_s"][0], "compiled": told["programs"] is not None, "step_s": passes_s,
            "blocks": [1] * len(passes_s), "crowded": [False] * len(passes_s),
            "result": {"type": "varying_shapes", "version": 1, "pads_rows": old["pads_rows"], **told},
        }  # fmt: skip
        record |= {"items_per_step": told["tokens"], "item": "token", "pairing": "sequential", "processes": [process]}
    yield record


def _shared(old: Fields) -> Fields:
    return {name: old[name] for name in SHARED if name in old}


READERS: dict[str, Callable[[Fields], Iterator[Fields]]] = {"load.jsonl": of_load, "churn.jsonl": of_churn}
"""By the names of the journals."""


def journals_in(folder: Path) -> list[Path]:
    """Return the journals of this kind that lie in a folder."""
    return [folder / name for name in READERS if (folder / name).is_file()]


def load(path: Path) -> list[Record]:
    """Return the records of such a journal, the last one of each cell; raise WeighbridgeError where a line is none."""
    found: dict[Any, Record] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), start=1):
        try:
            for fields in READERS[path.name](msgspec.json.decode(line)):
                record = msgspec.convert(fields, Record)
                found[record.cell] = record
        except (msgspec.DecodeError, UnicodeDecodeError, LookupError, TypeError, AttributeError) as error:
            raise WeighbridgeError(f"{path}: line {number} cannot be read; move it away and type the same") from error
    return list(found.values())
