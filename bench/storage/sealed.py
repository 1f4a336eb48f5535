"""Files of the cache beside the hash of what was written: a flipped bit is no oracle, and a cut file names itself.

A seal is a file of its own, `<name>.sha256`, so that what it seals stays what it is. It guards against damage, not
against whoever may write to the cache. What has no seal, as a killed run or an older version leaves it, counts as not
there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from weighbridge.bench.storage import files

SEAL, ASIDE = ".sha256", ".damaged"


def digest(path: Path) -> str:
    """Return the sha256 of a file, in hex; read once as long as the file stays what it is."""
    stat = path.stat()
    return _digest(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest(path: Path, inode: int, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def in_place_of(path: Path) -> Generator[Path]:
    """A file beside `path` to write to, which takes its place and is sealed. Killed in between, it is not there."""
    with files.in_place_of(path) as made:
        yield made
        found = digest(made)
        _seal(path).unlink(missing_ok=True)
    files.write_whole(_seal(path), found.encode())


def write(path: Path, content: bytes) -> None:
    """Writes a sealed file."""
    _seal(path).unlink(missing_ok=True)
    files.write_whole(path, content)
    files.write_whole(_seal(path), hashlib.sha256(content).hexdigest().encode())


def is_whole(path: Path) -> bool:
    """Whether a file is there, and is what was written."""
    try:
        return _seal(path).read_bytes() == digest(path).encode()
    except OSError:
        return False


def set_aside(path: Path) -> list[str]:
    """Moves a damaged file out of the way, to be made anew, and names its new place; nothing where there is none."""
    if is_whole(path) or not path.is_file() or not _seal(path).is_file():
        return []
    aside = path.with_name(path.name + ASIDE)
    path.replace(aside)
    _seal(path).unlink(missing_ok=True)
    return [str(aside)]


def _seal(path: Path) -> Path:
    return path.with_name(path.name + SEAL)
