"""Negative controls: whether the check of parity sees the mistakes that ports make.

A check that passes everything passes the right model, too. So the backend's own mutants are judged as it was: each is
killed, or it survived, or it changed nothing on these rows, or cannot run, and proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from bench.core.arrays import Arrays
from bench.core.backend import Session
from bench.core.record import Controls


def controls(session: Session, xs: Sequence[Any], passes: Callable[[list[Arrays]], bool]) -> Controls | None:
    """Return what becomes of each mutant, judged by its outputs on staged batches; None where there is none."""
    mutants = session.mutants()
    if not mutants:
        return None
    own = _outputs(session, xs)
    found = Controls()
    for name, make in mutants.items():
        outputs = _outputs_if_any(make, xs)
        if outputs is None or all(map(_same, own, outputs)):
            found.idle.append(name)
        else:
            (found.survived if passes(outputs) else found.killed).append(name)
    return found


def _outputs_if_any(make: Callable[[], Session], xs: Sequence[Any]) -> list[Arrays] | None:
    """None where a mutant cannot be made of this model, or cannot run: no check was needed to see that."""
    try:
        return _outputs(make(), xs)
    except Exception:  # noqa: BLE001 -- whatever it is that a wrong model ends in
        return None


def _outputs(session: Session, xs: Sequence[Any]) -> list[Arrays]:
    ys = [session.step(x) for x in xs]
    for y in ys:
        session.sync(y)
    return [session.to_host(y) for y in ys]


def _same(left: Arrays, right: Arrays) -> bool:
    return left.keys() == right.keys() and all(np.array_equal(left[name], right[name]) for name in left)
