"""Negative controls: whether the check of parity sees the mistakes that ports make.

A check that passes everything passes the right model, too. So the backend's own mutants are judged as it was: each is
killed, or it survived, or it changed nothing on these rows, or could not be made, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from weighbridge.bench.core.arrays import Arrays
from weighbridge.bench.core.backend import Session
from weighbridge.bench.core.record import Controls


def controls(session: Session, xs: Sequence[Any], passes: Callable[[list[Arrays]], bool]) -> Controls | None:
    """Return what becomes of each mutant, judged by its outputs on staged batches; None where there is none."""
    mutants = session.mutants()
    if not mutants:
        return None
    own = _outputs(session, xs)
    found = Controls()
    for name, make in mutants.items():
        try:
            outputs = _outputs(make(), xs)
        except Exception as error:  # noqa: BLE001 -- whatever it is that a wrong model ends in
            found.unmade[name] = _one_line(error)
            continue
        _kind(found, all(map(_same, own, outputs)), passes(outputs)).append(name)
    return found


def _kind(found: Controls, idle: bool, passed: bool) -> list[str]:
    if idle:
        return found.idle
    return found.survived if passed else found.killed


def _one_line(error: Exception) -> str:
    said = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {said[0]}"[:200]


def _outputs(session: Session, xs: Sequence[Any]) -> list[Arrays]:
    ys = [session.step(x) for x in xs]
    for y in ys:
        session.sync(y)
    return [session.to_host(y) for y in ys]


def _same(left: Arrays, right: Arrays) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)
