"""How long to measure: quick, standard, strict.

A process is the sample that varies most, so that no effort has fewer than the three that a verdict wants.
"""

from __future__ import annotations

import msgspec

from weighbridge.bench.core.errors import WeighbridgeError


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds; `bound` is relative, half the width of the 95 % interval of the ratio."""

    name: str
    processes: int
    """A cell is opened anew this many times: a process is a sample, too (measuring rule 5)."""
    bound: float
    warm_cap_s: float
    cap_s: float
    """Timed seconds a cell and process, after which turns end whether the interval has converged or not."""
    block_s: float = 0.2
    patience_s: float = 10.0
    """How long a process waits, all its waiting together, for a busy neighbour to leave."""
    longest_block: int = 500
    fewest_turns: int = 3
    """Before an interval counts as converged."""
    fewest_at_cap: int = 3
    """Where so few turns take longer than the cap."""
    most_turns: int = 100
    first_tokens: int = 5
    thorough: bool = True
    """Whether score, operations and compilation from a filled cache are taken, too: a sweep leaves them out."""
    controls: bool = False
    """Whether mistakes are made on purpose, to see that the check of parity sees them."""


QUICK = Effort(
    name="quick", processes=3, bound=0.01, warm_cap_s=0.7, cap_s=1.2, patience_s=4.0, fewest_at_cap=2, first_tokens=2
)
STANDARD = Effort(name="standard", processes=5, bound=0.005, warm_cap_s=1.0, cap_s=3.0, controls=True)
STRICT = Effort(name="strict", processes=9, bound=0.003, warm_cap_s=2.0, cap_s=10.0, patience_s=30.0, controls=True)
EFFORTS = {effort.name: effort for effort in (QUICK, STANDARD, STRICT)}


def effort(name: str) -> Effort:
    """The effort of this name."""
    if name not in EFFORTS:
        raise WeighbridgeError(f"unknown effort {name!r}; choose one of {', '.join(EFFORTS)}")
    return EFFORTS[name]
