"""Named arrays, and what identifies them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

Arrays = dict[str, np.ndarray]
"""Named host arrays: inputs, targets, outputs or weights."""
Files = Mapping[str, Path]
"""Data package name -> folder that holds its verified, unpacked files."""
Facts = dict[str, Any]
"""What is told as JSON and read by people: names, and values of any JSON type."""


def content_hash(value: Any) -> str:
    """16 hex digits of the sha256 of a value's canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).hexdigest()[:16]


def arrays_hash(arrays: Arrays) -> str:
    """16 hex digits of the sha256 of names, dtypes, shapes and bytes, in order of name."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()[:16]
