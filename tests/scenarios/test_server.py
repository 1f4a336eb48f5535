"""The server in a world of its own time: nothing sleeps here, and every latency can be told in advance."""

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.bench.scenarios.base import padded, sizes
from weighbridge.bench.scenarios.serve import stopping
from weighbridge.bench.scenarios.serve.arrivals import MOMENT, issue, schedule
from weighbridge.bench.scenarios.serve.server import Policy, Server, ServerRun

STEP_S, STALL_S = 0.0005, 0.2


class World:
    """Requests that come when they are due, and a model that takes its time; both on one clock."""

    def __init__(self, due_s: Sequence[float], step_s: float = STEP_S, stall_at: int = -1) -> None:
        self.due_s, self.step_s, self.stall_at = list(due_s), step_s, stall_at
        self.now_s, self.taken, self.steps = 0.0, 0, 0
        self.order: list[int] = []

    def take(self, wait_s: float | None) -> list[float]:
        if self.taken < len(self.due_s):
            next_s = self.due_s[self.taken]
            latest = math.inf if wait_s is None else self.now_s + wait_s
            self.now_s = max(self.now_s, min(next_s, latest))
        found = [due for due in self.due_s[self.taken :] if due <= self.now_s]
        self.taken += len(found)
        return found

    def answer(self, chosen: list[int]) -> None:
        self.order += chosen
        self.now_s += self.step_s + (STALL_S if self.steps == self.stall_at else 0.0)
        self.steps += 1

    def serve(self, policy: Policy, **limits: float) -> ServerRun:
        return Server(self.due_s, self, lambda: self.now_s, self.answer, policy).serve(**limits)  # type: ignore[arg-type]


def test_an_idle_server_answers_in_one_step() -> None:
    served = World([1.0, 2.0, 3.0]).serve(Policy(most=4, queue=8))
    assert served.latencies_s == pytest.approx([STEP_S] * 3)
    assert served.batches == [1, 1, 1]


def test_what_waits_is_answered_together_and_in_order() -> None:
    world = World([0.0, 0.1, 0.2, 0.3, 0.4], step_s=1.0)
    served = world.serve(Policy(most=3, queue=8))
    assert served.batches == [1, 3, 1]
    assert world.order == [0, 1, 2, 3, 4]
    assert served.latencies_s == pytest.approx([1.0, 1.9, 1.8, 1.7, 2.6])


def test_a_full_queue_rejects_and_nothing_is_lost() -> None:
    served = World([0.0, 0.1, 0.2, 0.3, 0.4], step_s=1.0).serve(Policy(most=1, queue=2))
    assert (served.answered, served.rejected, served.lost) == (3, 2, 0)
    assert len(served.latencies_s) == 3


def test_lingering_fills_a_batch_and_no_longer_than_allowed() -> None:
    due = [0.0, 0.002, 0.004, 1.0]
    at_once = World(due, step_s=0.001).serve(Policy(most=4, queue=8))
    patient = World(due, step_s=0.001).serve(Policy(most=4, queue=8, linger_s=0.005))
    assert at_once.batches == [1, 1, 1, 1]
    assert patient.batches == [3, 1]
    assert patient.latencies_s[0] == pytest.approx(0.006)
    assert patient.latencies_s[3] == pytest.approx(0.001)  # nobody else is to come


def test_a_stall_is_not_forgiven_and_a_closed_loop_forgives_it() -> None:
    """1,000 requests a second, one step of which takes 0.2 s longer: about 200 of 3,000 come while nobody answers."""
    due = schedule(1000.0, 3000, seed=1)
    served = World(due, stall_at=1000).serve(Policy(most=8, queue=1024))
    closed = [STEP_S + (STALL_S if index == 1000 else 0.0) for index in range(3000)]
    assert served.lost == 0
    assert stopping.plain(closed, 0.99) == pytest.approx(STEP_S)
    assert (stopping.plain(served.latencies_s, 0.99) or 0) > 0.15
    assert sum(latency > 0.01 for latency in served.latencies_s) > 150
    assert sum(latency > 0.01 for latency in closed) == 1


def test_a_hopeless_run_ends_early() -> None:
    due = schedule(1000.0, 3000, seed=1)
    served = World(due, step_s=0.01).serve(Policy(most=1, queue=4096), bound_s=0.05, most_late=10)
    assert served.abandoned
    assert served.answered < 100


@given(
    gaps=st.lists(st.floats(0, 0.01), min_size=1, max_size=80),
    most=st.integers(1, 9),
    queue=st.integers(1, 20),
    linger_s=st.sampled_from([0.0, 0.003]),
)
def test_every_query_is_answered_or_rejected_once(gaps: list[float], most: int, queue: int, linger_s: float) -> None:
    due = [sum(gaps[: index + 1]) for index in range(len(gaps))]
    world = World(due, step_s=0.004)
    served = world.serve(Policy(most=most, queue=queue, linger_s=linger_s))
    assert served.lost == 0
    assert served.answered == len(world.order) == len(set(world.order)) == sum(served.batches)
    assert max(served.batches) <= most
    assert all(latency >= 0.004 - 1e-12 for latency in served.latencies_s)
    assert world.order == sorted(world.order)


def test_arrivals_are_poisson_and_the_same_for_one_seed() -> None:
    due = schedule(50.0, 20_000, seed=3)
    gaps = [after - before for before, after in pairwise(due)]
    mean = sum(gaps) / len(gaps)
    assert mean == pytest.approx(1 / 50, rel=0.03)
    assert sum((gap - mean) ** 2 for gap in gaps) / len(gaps) == pytest.approx(mean**2, rel=0.06)
    assert due == schedule(50.0, 20_000, seed=3) != schedule(50.0, 20_000, seed=4)


def test_the_generator_hands_in_on_time_and_catches_up_at_once() -> None:
    now, messages = [0.0], list[bytes]()

    def sleep(seconds: float) -> None:
        now[0] += seconds + (0.5 if len(messages) == 1 else 0.0)

    issue([0.1, 0.2, 0.3, 0.9], messages.append, lambda: now[0], sleep)
    moments = [moment for message in messages for (moment,) in MOMENT.iter_unpack(message)]
    assert moments == pytest.approx([0.1, 0.7, 0.7, 0.9])


@given(st.integers(1, 300), st.data())
def test_padded_sizes_are_few_and_large_enough(most: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(1, most))
    assert count <= padded(count, most) <= most
    assert padded(count, most) in sizes(most)
    assert len(sizes(most)) <= math.ceil(math.log2(most)) + 1
