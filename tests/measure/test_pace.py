"""Neighbours outside of the virtual machine, with processors whose pace is made up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from weighbridge.bench.measure import environment, pace
from weighbridge.bench.measure.pace import SHARED, Pace

IS_GUEST = environment.is_guest
"""As it is; `nobody_outside` stands in for it."""
FAST = {0: 70e-6, 1: 75e-6}


class Processors:
    """Processors that take so many times as long as alone."""

    def __init__(self) -> None:
        self.shared = {0: 1.0, 1: 1.0}

    def __call__(self, cpu: int) -> float:
        return FAST[cpu] * self.shared[cpu]


@pytest.fixture
def processors() -> Processors:
    return Processors()


def test_processors_that_are_not_alike_are_each_held_to_their_own_shortest(processors: Processors) -> None:
    looking = Pace([0, 1], processors)
    assert looking.slowdown(looking.read(), looking.read()) == 1.0


def test_a_processor_that_is_shared_for_a_while_is_seen_until_it_is_alone_again(processors: Processors) -> None:
    looking = Pace([0, 1], processors)
    quiet = looking.read()
    processors.shared[1] = 1.6
    during = looking.slowdown(looking.read(), looking.read())
    assert during is not None
    assert during == pytest.approx(1.3)
    assert during > SHARED
    processors.shared[1] = 1.0
    assert looking.slowdown(looking.read(), looking.read()) == 1.0
    assert looking.slowdown(quiet) == 1.0


def test_what_is_as_slow_all_the_time_is_the_machine(processors: Processors) -> None:
    processors.shared = {0: 1.6, 1: 1.6}
    looking = Pace([0, 1], processors)
    assert looking.slowdown(looking.read(), looking.read()) == 1.0


def test_a_first_reading_that_was_slow_is_put_right_by_a_later_one(processors: Processors) -> None:
    looking = Pace([0, 1], processors)
    processors.shared = {0: 1.6, 1: 1.6}
    slow = looking.read()
    processors.shared = {0: 1.0, 1: 1.0}
    assert looking.slowdown(slow, looking.read()) == pytest.approx(1.3)


def test_nobody_looks_outside_of_a_virtual_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "is_guest", lambda: False)
    looking = pace.of_this_machine()
    assert looking.read() == []
    assert looking.slowdown(looking.read(), looking.read()) is None


@pytest.mark.parametrize(
    ("usable", "looked_at"), [(1, [0]), (2, [0, 1]), (4, [0, 1, 2, 3]), (5, [0, 2, 4]), (16, [0, 4, 8, 12])]
)
def test_four_processors_at_most_stand_for_all(
    usable: int, looked_at: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "is_guest", lambda: True)
    monkeypatch.setattr(environment, "usable_cpus", lambda: list(range(usable)))
    assert pace.of_this_machine().cpus == looked_at


def test_a_reading_takes_a_time_on_each_processor_and_leaves_the_process_where_it_may_run() -> None:
    before = os.sched_getaffinity(0)
    cpus = environment.usable_cpus()[:2]
    found = Pace(cpus).read()
    assert os.sched_getaffinity(0) == before
    assert len(found) == len(cpus)
    assert all(1e-6 < seconds < 1.0 for seconds in found)


def test_a_process_that_may_not_be_moved_stays_where_it_was() -> None:
    before = os.sched_getaffinity(0)

    def refused(cpu: int) -> float:
        os.sched_setaffinity(0, {min(before)})
        raise OSError(cpu)

    with pytest.raises(OSError, match="0"):
        Pace([0], refused).read()
    assert os.sched_getaffinity(0) == before


@pytest.mark.parametrize(("flags", "guest"), [("fpu hypervisor avx2", True), ("fpu avx2", False), ("", False)])
def test_the_processor_tells_whether_it_is_a_guests(
    flags: str, guest: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tmp_path / "cpuinfo"
    told.write_text(f"processor\t: 0\nflags\t\t: {flags}\n\n")
    info = environment.cpu_info(told)
    monkeypatch.setattr(environment, "cpu_info", lambda: info)
    assert IS_GUEST() is guest
