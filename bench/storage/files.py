"""Files that a reader sees whole or not at all, also where several processes write the same one."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from weighbridge.bench.core.errors import WeighbridgeError

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding a file from outside can raise: no JSON, other types, no text, or nested too deep to follow."""
MODE = 0o644


@contextmanager
def in_place_of(path: Path) -> Generator[Path]:
    """A file beside `path` to write to; it takes that one's place at the end, or is gone where writing failed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".partial")
    os.close(handle)
    try:
        yield Path(name)
        Path(name).chmod(MODE)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file in one step, whole or not at all."""
    with in_place_of(path) as made:
        made.write_bytes(content)


def not_followed(name: str, flags: int) -> int:
    """Opens a file for `open(..., opener=...)`; raises WeighbridgeError where a link stands in its place.

    Run folders are handed around: a link that somebody planted in one must not lead a write elsewhere.
    """
    try:
        return os.open(name, flags | os.O_NOFOLLOW, MODE)
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise WeighbridgeError(f"{name} is a symbolic link, which is not followed; remove it") from error
        raise
