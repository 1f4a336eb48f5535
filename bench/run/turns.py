"""Turns: the cells of a group are timed in alternating blocks, in an order that is shuffled anew each turn.

What disturbs one block most likely disturbs its neighbours, so the ratio of two blocks of one turn is free of it
(measuring rule 4: medians of sequential runs of the same program differed by up to 18 %, paired ratios by 0.3 %).
Pure but for the participants: whoever takes part knows how to wake and stop a process, or is a test's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Protocol

from weighbridge.bench.core.cell import StoppedBy
from weighbridge.bench.core.effort import Effort
from weighbridge.bench.measure import statistics


class Participant(Protocol):
    """One process of one cell, ready to be timed."""

    def turn(self) -> float:
        """Times one block and returns its seconds; 0 where the process has failed."""
        ...

    def crowded(self) -> bool:
        """Whether its last block had a busy neighbour."""
        ...

    def failed(self) -> bool:
        """Whether it takes no further part."""
        ...

    def medians(self) -> list[float]:
        """The median step of each of its blocks so far, NaN where it had a busy neighbour."""
        ...

    def samples(self) -> list[float]:
        """Its steps so far."""
        ...


def no_waiting(at_most_s: float) -> float:
    """Wait for nobody: of a test, or where nobody can tell who else is busy."""
    return at_most_s


def take_turns(
    participants: Sequence[Participant],
    effort: Effort,
    rng: random.Random,
    tell: Callable[[int], None],
    wait: Callable[[float], float] = no_waiting,
) -> StoppedBy:
    """Turns until all ratios to the first participant are known to the effort's bound, or its caps; `tell` hears.

    A turn in which anyone had a busy neighbour is taken again, once that one is gone: `wait` waits for it so many
    seconds at most, and returns how many it did. When all patience is used up, turns are taken as they come.
    """
    timed_s, quiet, patience_s = 0.0, 0, effort.patience_s
    for turn in range(1, effort.most_turns + 1):
        taking_part = [participant for participant in participants if not participant.failed()]
        tell(turn)
        turn_s = sum(participant.turn() for participant in rng.sample(taking_part, len(taking_part)))
        if any(participant.crowded() for participant in taking_part if not participant.failed()) and patience_s > 0:
            patience_s -= turn_s + wait(patience_s)
            continue
        timed_s, quiet = timed_s + turn_s, quiet + 1
        if quiet >= effort.fewest_turns and converged(taking_part, effort.bound):
            return "converged"
        if quiet >= effort.fewest_at_cap and timed_s >= effort.cap_s * len(taking_part):
            return "time cap"
    return "time cap"


def converged(participants: Sequence[Participant], bound: float) -> bool:
    """Whether all ratios to the first participant are settled; where it is alone, its own median."""
    left = [participant for participant in participants if not participant.failed()]
    if not left:
        return True
    if len(left) == 1:
        return statistics.has_settled(left[0].samples(), bound)
    over = left[0].medians()
    ratios = (
        statistics.interval(statistics.paired_ratios([over], [participant.medians()])) for participant in left[1:]
    )
    return all(ratio.relative_error <= bound for ratio in ratios)
