"""Turns of scripted members: no process, no clock; the seconds are made up."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import pytest

from weighbridge.bench.core.effort import QUICK
from weighbridge.bench.measure import statistics
from weighbridge.bench.run import turns

EFFORT = msgspec.structs.replace(QUICK, bound=0.01, cap_s=1e9, fewest_turns=6, most_turns=40)
FAST, SLOW = 0.01, 0.02


class Scripted:
    """A member whose n-th block takes `step_s(n)` a step; it fails in turn `fails_at`."""

    def __init__(self, name: str, log: list[str], step_s: Callable[[int], float], fails_at: int = 0) -> None:
        self.name, self.log, self.step_s, self.fails_at = name, log, step_s, fails_at
        self.timed: list[float] = []
        self.has_failed = False
        self.beside: set[int] = set()
        """The turns, from 1, in which it has a busy neighbour."""

    def turn(self) -> float:
        self.log.append(self.name)
        if len(self.timed) + 1 == self.fails_at:
            self.has_failed = True
            return 0.0
        self.timed.append(self.step_s(len(self.timed)))
        return self.timed[-1] * 10

    def failed(self) -> bool:
        return self.has_failed

    def crowded(self) -> bool:
        return len(self.timed) in self.beside

    def medians(self) -> list[float]:
        return [math.nan if turn in self.beside else step_s for turn, step_s in enumerate(self.timed, start=1)]

    def samples(self) -> list[float]:
        return [step_s for step_s in self.timed for _ in range(10)]


def take(members: Sequence[Scripted], seed: int = 0, **changes: object) -> tuple[str, list[int]]:
    told: list[int] = []
    effort = msgspec.structs.replace(EFFORT, **changes)
    return turns.take_turns(members, effort, random.Random(seed), told.append), told


def steady(log: list[str], *step_s: float) -> list[Scripted]:
    return [Scripted(name, log, lambda turn, s=s: s) for name, s in zip("abcd", step_s, strict=False)]


def turns_of(log: list[str], size: int) -> list[list[str]]:
    return [log[start : start + size] for start in range(0, len(log), size)]


def never_the_same(scale: float, seed: int) -> Callable[[int], float]:
    noise = np.random.default_rng(seed).uniform(1.0, 3.0, size=1000)
    return lambda turn: scale * float(noise[turn])


def test_every_member_is_timed_once_a_turn_in_an_order_that_changes() -> None:
    log: list[str] = []
    wild = [Scripted(name, log, never_the_same(FAST, seed)) for seed, name in enumerate("abc")]
    take(wild)
    orders = turns_of(log, 3)
    assert len(orders) == EFFORT.most_turns
    assert all(sorted(order) == ["a", "b", "c"] for order in orders)
    assert len({tuple(order) for order in orders}) == 6
    assert {order[0] for order in orders[:6]} != {"a"}


def test_the_order_is_the_seeds() -> None:
    logs: list[list[str]] = [[], [], []]
    for log, seed in zip(logs, (1, 1, 2), strict=True):
        take([Scripted(name, log, never_the_same(FAST, 0)) for name in "abc"], seed)
    assert logs[0] == logs[1]
    assert logs[0] != logs[2]


def test_it_ends_after_the_fewest_turns_where_the_ratio_is_known() -> None:
    assert take(steady([], FAST, SLOW)) == ("converged", [1, 2, 3, 4, 5, 6])
    assert take(steady([], FAST, SLOW), fewest_turns=9) == ("converged", list(range(1, 10)))


def test_it_ends_as_soon_as_the_last_ratio_is_known() -> None:
    """One that wavers at first keeps the others waiting, but no longer than it must."""
    unquiet = Scripted("c", [], lambda turn: SLOW * (1 + 0.2 * (turn % 2) * (turn < 8)))
    stopped, told = take([*steady([], FAST, SLOW), unquiet])
    assert stopped == "converged"
    assert 8 < len(told) < EFFORT.most_turns
    ratio = statistics.paired_ratios([[FAST] * len(told)], [unquiet.timed])
    assert statistics.interval(ratio).relative_error <= EFFORT.bound
    assert statistics.interval([ratio[0][:-1]]).relative_error > EFFORT.bound


def test_a_ratio_that_is_never_known_ends_at_the_most_turns() -> None:
    wild = [Scripted("a", [], never_the_same(FAST, 1)), Scripted("b", [], never_the_same(FAST, 2))]
    assert take(wild) == ("time cap", list(range(1, EFFORT.most_turns + 1)))


def test_the_cap_is_of_timed_seconds_a_member_and_never_under_the_fewest_turns() -> None:
    for cap_s, wanted in ((10 * 3 * FAST * 8, 8), (0.0, EFFORT.fewest_at_cap)):
        up_and_down = Scripted("b", [], lambda turn: FAST * (2 if turn % 2 else 4))
        stopped, told = take([*steady([], 3 * FAST), up_and_down], cap_s=cap_s)
        assert (stopped, len(told)) == ("time cap", wanted)


def test_one_that_fails_leaves_and_the_others_go_on() -> None:
    log: list[str] = []
    first, second, third = steady(log, FAST, SLOW, SLOW)
    second.fails_at = 3
    stopped, told = take([first, second, third])
    assert (stopped, len(told)) == ("converged", 6)
    assert (log.count("a"), log.count("b"), log.count("c")) == (6, 3, 6)
    assert len(second.medians()) == 2


def test_where_the_reference_fails_the_next_one_is_gone_by() -> None:
    first, second, third = steady([], FAST, SLOW, SLOW)
    first.fails_at = 1
    assert take([first, second, third]) == ("converged", [1, 2, 3, 4, 5, 6])
    assert turns.converged([first, second, third], EFFORT.bound)


def test_where_all_have_failed_nothing_is_timed_any_more() -> None:
    log: list[str] = []
    members = steady(log, FAST, SLOW)
    for member in members:
        member.fails_at = 2
    take(members)
    assert len(log) == 4


def test_a_mood_that_all_share_does_not_keep_a_ratio_from_being_known() -> None:
    """Medians move by a factor of three, both together; each one's own would take all turns."""
    mood = np.random.default_rng(0).uniform(1.0, 3.0, size=100)
    pair = [Scripted(name, [], lambda turn, s=s: s * float(mood[turn])) for name, s in (("a", FAST), ("b", SLOW))]
    stopped, told = take(pair)
    assert (stopped, len(told)) == ("converged", EFFORT.fewest_turns)
    assert statistics.interval([pair[0].timed]).relative_error > 10 * EFFORT.bound
    ratio = statistics.interval(statistics.paired_ratios([pair[0].medians()], [pair[1].medians()]))
    assert ratio.value == pytest.approx(FAST / SLOW)


def test_a_turn_with_a_busy_neighbour_is_taken_again_when_it_is_gone() -> None:
    log, waited = list[str](), list[float]()
    first, second = steady(log, FAST, SLOW)
    second.beside = {2, 3}

    def wait(at_most_s: float) -> float:
        waited.append(at_most_s)
        return 0.5

    effort = msgspec.structs.replace(EFFORT, patience_s=10.0)
    stopped = turns.take_turns([first, second], effort, random.Random(0), lambda turn: None, wait)
    assert (stopped, len(first.timed)) == ("converged", EFFORT.fewest_turns + 2)
    assert waited == pytest.approx([10.0, 10.0 - 0.5 - 10 * (FAST + SLOW)])


def test_patience_ends_and_turns_are_taken_as_they_come() -> None:
    first, second = steady([], FAST, SLOW)
    second.beside = set(range(1, 100))
    stopped, told = take([first, second], patience_s=0.001, cap_s=0.0)
    assert (stopped, len(told)) == ("time cap", 1 + EFFORT.fewest_at_cap)


def test_one_alone_goes_by_its_own_median() -> None:
    assert take(steady([], FAST)) == ("converged", [1, 2, 3, 4, 5, 6])
    unquiet = Scripted("a", [], never_the_same(FAST, 0))
    assert take([unquiet])[0] == "time cap"
    assert not statistics.has_settled(unquiet.samples(), EFFORT.bound)
