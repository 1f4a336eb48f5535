"""Data files that an installed library carries: found without importing it, and held to what was pinned."""

from __future__ import annotations

import hashlib
from importlib.util import find_spec
from pathlib import Path

from weighbridge.bench.core.errors import WeighbridgeError


def library_file(task: str, library: str, path: str, sha256: str) -> bytes:
    """Return the bytes of `path` inside `library`, whose import takes up to seconds and is not needed.

    Raises WeighbridgeError where the library is not installed, or its file is not the one that the task was made for.
    """
    found = find_spec(library)
    if found is None or found.origin is None:
        raise WeighbridgeError(f"{task} reads a file of {library}; type `pip install {library}`")
    file = Path(found.origin).parent / path
    if not file.is_file():
        raise WeighbridgeError(f"{task}: {library} has no {path}; type `pip install --force-reinstall {library}`")
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise WeighbridgeError(f"{task}: {file} is not the file that the task was made for (sha256 differs)")
    return content
