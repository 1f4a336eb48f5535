"""Records on disk: JSON Lines, one record a line, fsynced as soon as it is known (measuring rule 26).

A journal has one writer at a time. What cannot be read is set aside in a file beside it and reported; nothing
else is lost. Records of an older schema are migrated as they are read, a version at a time; a file is never
rewritten for that.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.errors import RecordLostError, WeighbridgeError
from weighbridge.bench.core.record import Record
from weighbridge.bench.storage import lines, studies
from weighbridge.bench.storage.coding import UnreadableError, cell_of, encoder, parse, record_of
from weighbridge.bench.storage.files import not_followed

T = TypeVar("T")
JOURNAL = "records.jsonl"
MOST_COMPLAINTS = 10


def journal(folder: Path) -> Path:
    """The journal of a run folder; a path to a journal is itself."""
    return folder if folder.suffix == ".jsonl" else folder / JOURNAL


@contextmanager
def writing(folder: Path) -> Generator[Path]:
    """Holds the run folder for one writer; the lock ends with the process that holds it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeighbridgeError(f"cannot write to {folder}: {error.strerror}; choose another --out") from error
    with open(folder / f"{JOURNAL}.lock", "w", opener=not_followed) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise WeighbridgeError(
                f"another run is writing to {folder}; wait for it or choose another --out"
            ) from error
        if journal(folder).is_symlink():
            raise WeighbridgeError(f"{journal(folder)} is a symbolic link, which is not followed; remove it")
        yield journal(folder)


def append(path: Path, record: msgspec.Struct) -> None:
    """Writes one record and returns when it is on the disk.

    Raises RecordLostError where it is not; no part of it is left.
    """
    try:
        _append(path, encoder.encode(record) + b"\n")
    except OSError as error:
        why = error.strerror or error
        raise RecordLostError(f"{why}: a record is not in {path}; make room, then add --resume") from error


def _append(path: Path, line: bytes) -> None:
    handle = not_followed(str(path), os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        size = os.fstat(handle).st_size
        if size and os.pread(handle, 1, size - 1) != b"\n":  # what was cut short must not take this record along
            line = b"\n" + line
        try:
            written = os.write(handle, line)
            if written != len(line):
                raise OSError(f"disk full? wrote {written} of {len(line)} bytes to {path}")
            os.fsync(handle)
        except OSError:
            os.ftruncate(handle, size)
            raise
    finally:
        os.close(handle)


class Place(NamedTuple):
    """Where a record stands."""

    journal: str
    offset: int
    """Of its first byte."""


class Unreadable(NamedTuple):
    """A line that is no record of this schema or an older one."""

    offset: int
    """Of its first byte."""
    line: bytes
    reason: str


def cells(path: Path) -> Generator[Cell]:
    """The cells of a journal, one a line."""
    yield from filter(None, map(cell_of, lines.read(path)))


def read(path: Path) -> tuple[list[Record], list[Unreadable]]:
    """Every record, and the lines that are none."""
    others: list[Unreadable] = []
    return [record for _, record in parsed(path, record_of, others)], others


def parsed(
    path: Path, parse: Callable[[bytes], T], others: list[Unreadable], begin: int = 0, end: int | None = None
) -> Generator[tuple[Place, T]]:
    """What `parse` makes of each line, one in memory at a time; the lines that are no record are added to `others`."""
    name = str(path)
    for offset, line in lines.placed(path, begin, end):
        try:
            yield Place(name, offset), parse(line)
        except UnreadableError as error:
            others.append(Unreadable(offset, line, str(error)))


def whole(place: Place, cell: Cell) -> Record:
    """The record of a cell that stood there; raises WeighbridgeError where none of that cell does any more."""
    with Path(place.journal).open("rb") as file:
        file.seek(place.offset)
        record = parse(file.readline())
    if record is None or record.cell != cell:
        raise WeighbridgeError(f"{place.journal} was rewritten while it was read; type the same again")
    return record


def complaints(path: Path, others: Sequence[Unreadable]) -> list[str]:
    """What to tell of lines that are no record: which one, and why; of many, the first and how many more."""
    told = [
        f"{path}, line {number} is no record ({' '.join(each.reason.split())}); it counts for nothing"
        for number, each in zip(_numbers(path, others[:MOST_COMPLAINTS]), others, strict=False)
    ]
    left = len(others) - len(told)
    return [*told, f"{path}: {left:,} more lines are no record"] if left else told


def _numbers(path: Path, some: Sequence[Unreadable]) -> list[int]:
    """Return the numbers of lines, from 1; counted only where somebody asks."""
    if not some:
        return []
    wanted, at, found = {each.offset for each in some}, 0, list[int]()
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if at in wanted:
                found.append(number)
            at += len(line)
    return found


def mend(path: Path) -> tuple[list[Record], Path | None]:
    """Reads a journal that may have been cut short, and sets aside what is damaged.

    Returns the records and the file that now holds the damaged lines, or None where there were none. The
    journal is replaced whole, so that dying in between loses nothing; it ends in a newline afterwards.
    """
    records, damaged = read(path)
    if damaged:
        return records, lines.set_aside(path, [each.line for each in damaged], ".damaged")
    lines.finish(path)
    return records, None


def supersede(path: Path, records: Iterable[Record]) -> None:
    """Moves records that are about to be measured again out of the journal, into a file beside it."""
    wanted = {encoder.encode(record) for record in records}
    lines_again = [line for line in lines.read(path) if (record := parse(line)) and encoder.encode(record) in wanted]
    lines.set_aside(path, lines_again, ".superseded")


def existing(folder: Path) -> Path:
    """The journal of a run folder, or a journal file; raises WeighbridgeError where there is none."""
    path = journal(folder)
    if path.name in studies.READERS or not path.is_file():
        raise WeighbridgeError(f"no {JOURNAL} in {folder}; give a folder that `weighbridge run` wrote")
    return path


def every(folder: Path) -> list[Path]:
    """The journals of a run folder, those of before a scenario was part of every cell among them; a file is itself.

    Raises WeighbridgeError where there is none.
    """
    if folder.name in studies.READERS and folder.is_file():
        return [folder]
    older = studies.journals_in(folder)
    return older if older and not journal(folder).is_file() else [existing(folder), *older]


def load(folder: Path) -> list[Record]:
    """The records of a run folder or journal file; the last one of each cell, where a retry wrote another."""
    return loaded(existing(folder))[0]


def loaded(path: Path) -> tuple[list[Record], list[Unreadable]]:
    """The same of a journal file, and the lines that are none; raises WeighbridgeError where no line is a record."""
    records, damaged = read(path)
    if not records and damaged:
        raise WeighbridgeError(f"{path} holds no record that this version can read: {damaged[0].reason}")
    return list({record.cell: record for record in records}.values()), damaged
