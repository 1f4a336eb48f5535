"""Records on disk: JSON Lines, one record a line, fsynced as soon as it is known (MEASURING.md, rule 26).

A journal has one writer at a time. What cannot be read is set aside in a file beside it and reported; nothing
else is lost. Records of an older schema are migrated as they are read, a version at a time; a file is never
rewritten for that.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from bench.core import WeighbridgeError
from bench.record import SCHEMA, Record

JOURNAL = "records.jsonl"
encoder = msgspec.json.Encoder(order="deterministic")
decoder = msgspec.json.Decoder(Record)


def journal(folder: Path) -> Path:
    """The journal of a run folder; a path to a journal is itself."""
    return folder if folder.suffix == ".jsonl" else folder / JOURNAL


@contextmanager
def writing(folder: Path) -> Generator[Path]:
    """Holds the run folder for one writer; the lock ends with the process that holds it."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{JOURNAL}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WeighbridgeError(
                f"another run is writing to {folder}; wait for it or choose another --out"
            ) from error
        yield journal(folder)


def append(path: Path, record: Record) -> None:
    """Writes one record and returns when it is on the disk."""
    line = encoder.encode(record) + b"\n"
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        written = os.write(handle, line)
        if written != len(line):
            raise OSError(f"disk full? wrote {written} of {len(line)} bytes to {path}")
        os.fsync(handle)
    finally:
        os.close(handle)


def _from_1(old: dict[str, Any]) -> dict[str, Any]:
    """Schema 2 added blocks, pairing and the reason to stop: one block, timed apart from every other cell."""
    steps = len(old.get("step_s", []))
    stopped_by = {True: "converged", False: "time cap", None: ""}[old.get("settled")]
    new = {"blocks": [[steps]] if steps else [], "pairing": "sequential" if steps else "", "stopped_by": stopped_by}
    return {**old, **new}


MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _from_1}
"""From each older schema to the next, on decoded JSON."""


def parse(line: bytes) -> Record | None:
    """One record, or None where the line is not one of this schema or an older one."""
    try:
        record = decoder.decode(line)
        return record if record.schema == SCHEMA else msgspec.convert(migrated(line, record.schema), Record)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def migrated(line: bytes, schema: int) -> dict[str, Any] | None:
    """A line of an older schema as decoded JSON of this one; None where nothing leads from there to here."""
    if schema not in MIGRATIONS:
        return None
    fields = msgspec.json.decode(line)
    for step in range(schema, SCHEMA):
        fields = {**MIGRATIONS[step](fields), "schema": step + 1}
    return fields


def read(path: Path) -> tuple[list[Record], list[bytes]]:
    """Every record, and the lines that are none."""
    parsed = [(parse(line), line) for line in _lines(path)]
    return [record for record, _ in parsed if record], [line for record, line in parsed if record is None]


def mend(path: Path) -> tuple[list[Record], Path | None]:
    """Reads a journal that may have been cut short, and sets aside what is damaged.

    Returns the records and the file that now holds the damaged lines, or None where there were none. The
    journal is replaced whole, so that dying in between loses nothing; it ends in a newline afterwards.
    """
    records, damaged = read(path)
    return records, set_aside(path, damaged, ".damaged") if damaged else _end_line(path)


def supersede(path: Path, records: Iterable[Record]) -> None:
    """Moves records that are about to be measured again out of the journal, into a file beside it."""
    wanted = {encoder.encode(record) for record in records}
    lines = [line for line in _lines(path) if (record := parse(line)) and encoder.encode(record) in wanted]
    set_aside(path, lines, ".superseded")


def set_aside(path: Path, lines: list[bytes], suffix: str) -> Path:
    """Moves lines from a journal to the file of the same name with `suffix`; first written there, then cut here."""
    aside = path.with_suffix(suffix)
    _write_synced(aside, lines, mode="ab")
    moved = set(lines)
    replace(path, [line for line in _lines(path) if line not in moved])
    return aside


def _end_line(path: Path) -> None:
    """A whole last record may lack only its newline; the next one must not land on its line."""
    if path.exists() and path.read_bytes()[-1:] not in (b"", b"\n"):
        replace(path, _lines(path))


def _lines(path: Path) -> list[bytes]:
    return [line for line in path.read_bytes().split(b"\n") if line.strip()] if path.exists() else []


def replace(path: Path, lines: list[bytes]) -> None:
    """A file of these lines in the place of what was there, whole or not at all."""
    partial = path.with_suffix(".partial")
    _write_synced(partial, lines, mode="wb")
    partial.replace(path)


def _write_synced(path: Path, lines: list[bytes], mode: str) -> None:
    with path.open(mode) as file:
        file.writelines(line + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


def existing(folder: Path) -> Path:
    """The journal of a run folder, or a journal file; raises WeighbridgeError where there is none."""
    path = journal(folder)
    if not path.is_file():
        raise WeighbridgeError(f"no {JOURNAL} in {folder}; give a folder that `weighbridge run` wrote")
    return path


def load(folder: Path) -> list[Record]:
    """The records of a run folder or journal file; the last one of each cell, where a retry wrote another."""
    path = existing(folder)
    records, damaged = read(path)
    if not records and damaged:
        raise WeighbridgeError(f"{path} holds no record that this version can read")
    return list({record.cell.id: record for record in records}.values())
