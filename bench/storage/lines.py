"""Files of lines: read one at a time, replaced whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable
from pathlib import Path

from weighbridge.bench.storage.files import not_followed

BUFFER_BYTES = 2**18
"""Python's own reads three records at a time, which takes three times as long as a hundred at a time."""


def read(path: Path, begin: int = 0, end: int | None = None) -> Iterable[bytes]:
    """The lines of a journal that hold something, one in memory at a time; nothing where there is no file.

    With `begin` and `end` only those that begin in that range of bytes.
    """
    return (line for _, line in placed(path, begin, end))


def placed(path: Path, begin: int = 0, end: int | None = None) -> Generator[tuple[int, bytes]]:
    """The same, each with the place of its first byte."""
    if not path.exists():
        return
    with path.open("rb", buffering=BUFFER_BYTES) as file:
        if begin:
            file.seek(begin - 1)
            file.readline()
        at = file.tell()
        for text in file:
            if end is not None and at >= end:
                return
            if not text.isspace():
                yield at, text.removesuffix(b"\n")
            at += len(text)


def replace(path: Path, some: list[bytes]) -> None:
    """A file of these lines in the place of what was there, whole or not at all."""
    partial = path.with_suffix(".partial")
    _write_synced(partial, some, mode="wb")
    partial.replace(path)


def _write_synced(path: Path, some: list[bytes], mode: str) -> None:
    with open(path, mode, opener=not_followed) as file:
        file.writelines(line + b"\n" for line in some)
        file.flush()
        os.fsync(file.fileno())


def set_aside(path: Path, some: list[bytes], suffix: str) -> Path:
    """Moves lines from a journal to the file of the same name with `suffix`; first written there, then cut here."""
    aside = path.with_suffix(suffix)
    _write_synced(aside, some, mode="ab")
    moved = set(some)
    replace(path, [line for line in read(path) if line not in moved])
    return aside


def finish(path: Path) -> None:
    """Ends the last line: a whole record may lack only its newline, and the next one must not land there."""
    if path.exists() and path.read_bytes()[-1:] not in (b"", b"\n"):
        replace(path, list(read(path)))
