import gc
import mmap
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.bench.core import Arrays, Session
from weighbridge.bench.measure import clock


class Scripted(Session):
    """A device of its own: a step takes 1 s of work, which is done when it is waited for; its clock is its own."""

    def __init__(self) -> None:
        self.now, self.pending, self.syncs, self.collecting = 0.0, 0.0, 0, False
        self.met: list[Any] = []

    def to_device(self, batch: Arrays) -> Any:
        return batch

    def step(self, x: Any) -> Any:
        self.collecting |= gc.isenabled()
        self.now += 0.01
        self.pending += 1.0
        self.met.append(x)
        return x

    def sync(self, y: Any) -> None:
        self.now += self.pending
        self.pending, self.syncs = 0.0, self.syncs + 1

    def to_host(self, y: Any) -> Arrays:
        return y

    def clock(self) -> float:
        return self.now


class Output:
    """Tells its session when it is given back."""

    def __init__(self, session: "Holding") -> None:
        self.session = session
        session.held += 1
        session.most = max(session.most, session.held)

    def __del__(self) -> None:
        self.session.held -= 1


class Holding(Scripted):
    """Counts the outputs that are held at a time."""

    held = most = 0

    def step(self, x: Any) -> Any:
        super().step(x)
        return Output(self)


class Faulting(Scripted):
    """Touches fresh memory in each step."""

    SIZE = 2**22
    ONES = b"\1" * SIZE

    def step(self, x: Any) -> Any:
        with mmap.mmap(-1, self.SIZE) as fresh:
            fresh.write(self.ONES)
        return super().step(x)


def test_latency_waits_for_every_step() -> None:
    session = Scripted()
    assert np.allclose(clock.latency_block(session, [None], steps=3).samples, 1.01)
    assert session.syncs == 3


def test_throughput_waits_once_and_counts_all_the_work() -> None:
    session = Scripted()
    assert np.allclose(clock.queued_block(session, [None], steps=4).samples, 1.01)
    assert session.syncs == 1


def test_the_first_step_is_waited_for() -> None:
    assert np.isclose(clock.first_step(Scripted(), None)[0], 1.01)


def test_repeats_are_averaged() -> None:
    session = Scripted()
    assert np.allclose(clock.latency_block(session, [None], steps=2, repeats=5).samples, 1.01)
    assert session.syncs == 10


def test_a_lead_in_is_waited_for_and_none_of_it_is_timed() -> None:
    session = Scripted()
    clock.lead_in(session, [None], steps=3)
    assert (session.syncs, session.pending) == (3, 0.0)
    assert np.allclose(clock.latency_block(session, [None], steps=2).samples, 1.01)
    clock.lead_in(session, [None], steps=0)
    assert session.syncs == 5


def test_no_garbage_is_collected_inside_a_block() -> None:
    session = Scripted()
    clock.latency_block(session, [None], steps=2)
    assert not session.collecting
    assert gc.isenabled()


@pytest.mark.parametrize(("steps", "repeats"), [(1, 1), (4, 1), (2, 5), (3, 2)])
def test_steps_take_turns_through_the_batches_and_the_last_output_is_told(steps: int, repeats: int) -> None:
    for block in (clock.latency_block, partial(clock.queued_block)):
        session = Scripted()
        timed = block(session, ["a", "b", "c"], steps, *([repeats] if block is clock.latency_block else []))
        assert timed.last == ["a", "b", "c"][timed.of] == session.met[-1]
        assert session.met == (["a", "b", "c"] * 9)[: len(session.met)]


def test_only_one_output_is_held_while_steps_are_timed() -> None:
    session = Holding()
    clock.latency_block(session, [None], steps=4, repeats=2)
    assert session.most == 1


def test_minor_faults_are_counted_a_step() -> None:
    session = Faulting()
    pages = Faulting.SIZE // mmap.PAGESIZE
    assert clock.latency_block(session, [None], steps=3, repeats=2).faults == pytest.approx(pages, rel=0.05)
    assert clock.queued_block(session, [None], steps=3).faults == pytest.approx(pages, rel=0.05)


@given(st.floats(1e-9, 1.0), st.floats(1e-9, 1e-3))
def test_repeats_keep_the_clock_under_one_percent(step_s: float, cost_s: float) -> None:
    repeats = clock.repeats_for(step_s, cost_s)
    assert repeats * step_s >= 99.99 * cost_s or step_s >= 99.99 * cost_s
    assert repeats == 1 or (repeats - 1) * step_s < 100.01 * cost_s


@pytest.mark.parametrize("reading", [float("nan"), 0.0])
def test_a_clock_that_tells_no_time_is_refused(reading: float) -> None:
    session = Scripted()
    session.clock = lambda: reading  # type: ignore[method-assign]
    for timed in (clock.first_step, partial(clock.latency_block, steps=2), partial(clock.queued_block, steps=2)):
        with pytest.raises(clock.ClockError, match="its clock says"):
            timed(session, ["x"])


def test_a_clock_that_runs_backwards_is_refused() -> None:
    session = Scripted()
    session.clock = lambda: -session.now  # type: ignore[method-assign]
    with pytest.raises(clock.ClockError, match="its clock says"):
        clock.latency_block(session, ["x"], steps=2)
