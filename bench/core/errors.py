"""What a user has typed wrongly, or lacks: one line, and what to type instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WeighbridgeError(Exception):
    """A request that cannot be served. Its text is one line: what is wrong and what to type instead."""

    code = 2
    """The command's exit code."""


class RecordLostError(WeighbridgeError):
    """A record that was measured and is not on the disk."""

    code = 1


def unknown(kind: str, name: str, known: Iterable[str]) -> WeighbridgeError:
    """The error for a name that is not there: a did-you-mean where one is close, else what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    hint = f"did you mean {close[0]!r}?" if close else f"choose from {', '.join(names)}"
    return WeighbridgeError(f"no {kind} {name!r}; {hint}")
