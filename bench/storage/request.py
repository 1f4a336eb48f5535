"""What a run was asked, written beside its journal: to go on with a run is to go on with its request."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.storage.files import UNREADABLE, write_whole

RENAMED = {"tier": "effort"}
"""What options were called in requests of before."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A command, and every option that decides what it measures, named as on the command line."""

    command: str
    options: dict[str, Any]

    def write(self, journal: Path) -> None:
        """Write it beside `journal`, where nothing is written yet."""
        if not path(journal).exists():
            write_whole(path(journal), msgspec.json.format(msgspec.json.encode(self)))


def path(journal: Path) -> Path:
    """Return the file that belongs to a journal: `records.request.json` beside `records.jsonl`."""
    return journal.with_suffix(".request.json")


def read(journal: Path) -> Request | None:
    """Return what a journal's run was asked; None where nobody wrote it down. Raise WeighbridgeError if damaged."""
    try:
        found = msgspec.json.decode(path(journal).read_bytes(), type=Request)
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        raise WeighbridgeError(f"{path(journal)} cannot be read ({error}); remove it and name all options") from error
    return msgspec.structs.replace(
        found, options={RENAMED.get(name, name): found.options[name] for name in found.options}
    )


def resumed(journal: Path, asked: Request, typed: Collection[str]) -> Request:
    """Return the request to go on with: the journal's own, or `asked` where it has none.

    Raise WeighbridgeError where the command is another, or an option that was `typed` has another value.
    """
    known = read(journal)
    if known is None:
        return asked
    if known.command != asked.command:
        raise WeighbridgeError(
            f"{journal} belongs to `weighbridge {known.command}`; type that, or choose another --out"
        )
    strange = [name for name, value in known.options.items() if not _alike(value, asked.options.get(name, ...))]
    if strange:
        raise WeighbridgeError(f"{path(journal)} has no sense in {', '.join(strange)}; remove it and name all options")
    different = [name for name in typed if known.options.get(name) != asked.options[name]]
    if different:
        there = ", ".join(shown(name, known.options.get(name)) for name in different)
        here = ", ".join(shown(name, asked.options[name]) for name in different)
        raise WeighbridgeError(
            f"{journal.parent} was asked {there}, not {here}; leave that out to go on, or choose another --out"
        )
    return msgspec.structs.replace(known, options={**asked.options, **known.options})


def _alike(written: Any, given: Any) -> bool:
    """Whether what was written of an option can be its value, by the value that the command has now."""
    if given is ...:
        return False
    number = isinstance(written, int | float) and not isinstance(written, bool)
    if written is None or given is None:
        return written is None or number or _is_words(written)
    if isinstance(given, list | tuple):
        return _is_words(written)
    return number if isinstance(given, float) else type(written) is type(given)


def _is_words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def shown(name: str, value: Any) -> str:
    """Return an option as a user types it."""
    if isinstance(value, list) and value:
        return " ".join(f"--{name} {each}" for each in value)
    return f"no --{name}" if value in ("", None, False, []) else f"--{name} {value}"
