"""Backends that cheat, each caught and named; honest ones are let go, whatever their steps cost."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
import pytest

from weighbridge.backends import fake
from weighbridge.backends.fake import STEP_S, FakeSession
from weighbridge.bench.core import Arrays, Session
from weighbridge.bench.measure import clock, suspicion

ROWS: Arrays = {"features": np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)}


def session(fault: str = "") -> FakeSession:
    rng = np.random.default_rng(1)
    weights = {"layers.0.weight": rng.normal(size=(7, 5)), "layers.0.bias": np.zeros(7),
               "head.weight": rng.normal(size=(1, 7)), "head.bias": np.zeros(1)}  # fmt: skip
    found = FakeSession({name: array.astype(np.float32) for name, array in weights.items()}, {"hidden": [7]}, fault)
    found.sync(found.step(found.to_device(ROWS)))
    return found


@pytest.fixture(params=[STEP_S, 20.0])
def true_step_s(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> float:
    """Seconds that a step's work takes; of twenty even the remembered ones are long."""
    monkeypatch.setattr(fake, "STEP_S", request.param)
    return request.param


def timed(fault: str = "") -> tuple[str, int]:
    """What is said of a backend whose steps were timed over and over on one batch, and how many more it took."""
    of = session(fault)
    x = of.to_device(ROWS)
    step_s = [clock.first_step(of, x)[0] for _ in range(3)][-1]
    before = of.steps
    return suspicion.reason(of, x, suspicion.fresh_batches(ROWS, 6), step_s), of.steps - before


def test_an_honest_backend_is_let_go(true_step_s: float) -> None:
    assert timed()[0] == ""


def test_a_long_step_is_doubted_in_two_more() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fake, "STEP_S", 20.0)
        assert timed() == ("", 2)


@pytest.mark.parametrize("fault", ["remember", "remember all"])
def test_one_that_remembers_its_answers_is_named(fault: str, true_step_s: float) -> None:
    assert timed(fault)[0].startswith("it remembers: one batch over and over is ")


def test_one_that_returns_before_its_work_is_done_is_named(true_step_s: float) -> None:
    assert timed("early")[0].startswith("it returns early: ")


class Unfinished(Session):
    """Hands its work to a device, and forgets to wait for it: what is read at once is waited for."""

    def __init__(self) -> None:
        self.now = self.done_at = 0.0

    def to_device(self, batch: Arrays) -> Any:
        return batch

    def step(self, x: Any) -> Any:
        self.now += 0.001
        self.done_at = self.now + 0.01
        return x

    def sync(self, y: Any) -> None:
        pass

    def to_host(self, y: Any) -> Arrays:
        self.now = max(self.now, self.done_at)
        return {"y": np.zeros(1)}

    def clock(self) -> float:
        return self.now


def test_work_that_goes_on_behind_the_clock_is_found() -> None:
    assert "returns early" in suspicion.returns_early(Unfinished(), ROWS, 0.001)


def test_on_a_device_too() -> None:
    assert "returns early" in suspicion.returns_early(Unfinished(), ROWS, 0.001, "cuda")


class Copying(Unfinished):
    """Done when it says so; reading takes as long as a copy."""

    size = 10**7

    def sync(self, y: Any) -> None:
        self.now = self.done_at

    def to_host(self, y: Any) -> Arrays:
        self.now += self.size / 2e9
        return {"y": np.zeros(self.size, np.int8)}


def test_a_large_output_takes_its_time_to_be_read() -> None:
    assert suspicion.returns_early(Copying(), ROWS, 0.01) == ""


@pytest.mark.parametrize("extra_s", [0.0, 3e-4])
def test_a_trip_to_a_device_and_back_is_no_work(extra_s: float) -> None:
    """Flax's MiniLM on an H200: a step of 0.67 ms, and a reading of half a millisecond, at once or later."""

    class Trip(Copying):
        size = 8 * 384

        def to_host(self, y: Any) -> Arrays:
            self.now += 5e-4 - extra_s + (extra_s if self.now - self.done_at < 1e-9 else 0.0)
            return super().to_host(y)

    assert suspicion.returns_early(Trip(), ROWS, 0.00067, "cuda") == ""
    assert suspicion.returns_early(Trip(), ROWS, 0.00067).startswith("it returns early")


def test_reading_that_varies_by_more_than_a_step_is_no_evidence() -> None:
    rng = np.random.default_rng(0)

    class Varying(Copying):
        def to_host(self, y: Any) -> Arrays:
            self.now += 0.001 * rng.random()
            return super().to_host(y)

    assert [said for _ in range(50) if (said := suspicion.returns_early(Varying(), ROWS, 0.001))] == []


def test_one_undisturbed_step_beside_a_busy_neighbour_is_no_evidence() -> None:
    """As torch's generation of images met it: every step took 1.2 times as long, but for one of the old batch."""

    class Beside(FakeSession):
        def step(self, x: np.ndarray) -> np.ndarray:
            y = super().step(x)
            self.now_s += 0.0 if self.steps == 4 else 0.2 * STEP_S
            return y

    of = session()
    of.__class__ = Beside
    assert suspicion.remembers(of, of.to_device(ROWS), suspicion.fresh_batches(ROWS, 6), STEP_S) == ""


def test_a_burst_beside_one_try_is_no_evidence() -> None:
    class Disturbed(FakeSession):
        def step(self, x: np.ndarray) -> np.ndarray:
            y = super().step(x)
            self.now_s += 1.0 if self.steps <= suspicion.MOST_FRESH + 1 else 0.0
            return y

    of = session()
    of.__class__ = Disturbed
    assert suspicion.remembers(of, of.to_device(ROWS), suspicion.fresh_batches(ROWS, 6), STEP_S) == ""


@pytest.mark.parametrize("seed", range(20))
def test_a_neighbour_that_meets_three_steps_of_four_is_no_evidence(seed: int) -> None:
    rng = np.random.default_rng(seed)

    class Crowded(FakeSession):
        def step(self, x: np.ndarray) -> np.ndarray:
            y = super().step(x)
            self.now_s += 2 * STEP_S * rng.random() * (rng.random() < 0.75)
            return y

    of = session()
    of.__class__ = Crowded
    assert suspicion.remembers(of, of.to_device(ROWS), suspicion.fresh_batches(ROWS, 6), step_s=0.3) == ""


def test_a_neighbour_that_is_busy_for_a_second_and_a_half_is_no_evidence() -> None:
    """It meets every new batch of the first rounds, and hardly one of the steps between them."""

    class Beside(FakeSession):
        def step(self, x: np.ndarray) -> np.ndarray:
            new = x.tobytes() not in self.met
            self.met |= {x.tobytes()}
            y = super().step(x)
            self.now_s += STEP_S if new and self.now_s < 1.5 else 0.0
            return y

    of = session()
    of.__class__ = Beside
    assert suspicion.remembers(of, of.to_device(ROWS), suspicion.fresh_batches(ROWS, 6), STEP_S) == ""


def test_fresh_batches_have_the_shapes_of_the_rows_and_are_all_different() -> None:
    rows = {"ids": np.arange(12).reshape(3, 4), "label": np.arange(3), "new_tokens": np.array(7)}
    found = list(islice(suspicion.fresh_batches(rows, 1), 20))
    assert all(batch["ids"].shape == (1, 4) and batch["label"].shape == (1,) for batch in found)
    assert all(batch["new_tokens"] == 7 for batch in found)
    assert len({batch["ids"].tobytes() for batch in found}) > 6


def test_as_many_fresh_batches_as_a_long_suspicion_takes_differ_even_of_one_narrow_row() -> None:
    found = islice(suspicion.fresh_batches({"x": np.arange(13.0).reshape(1, 13)}, 1), 5000)
    assert len({batch["x"].tobytes() for batch in found}) == 5000


def test_tokens_and_their_mask_are_shuffled_alike() -> None:
    rows = {"ids": np.arange(1, 9).reshape(1, 8), "mask": np.arange(1, 9).reshape(1, 8) * 10}
    assert all((batch["mask"] == batch["ids"] * 10).all() for batch in islice(suspicion.fresh_batches(rows, 1), 5))


def test_what_was_timed_must_be_what_was_checked() -> None:
    checked = suspicion.sample({"logits": np.linspace(1, 2, 100_000, dtype=np.float32)})
    assert len(checked["logits"]) <= 2 * suspicion.MOST_SAMPLED
    assert suspicion.difference(checked, checked, "fp32") == ""
    other = {"logits": checked["logits"] * 1.001}
    assert suspicion.difference(other, checked, "fp32").startswith("what was timed is not what was checked")
    assert suspicion.difference(other, checked, "bf16") == ""
    assert "inf" in suspicion.difference({}, checked, "fp32")


def test_tokens_after_a_near_tie_may_differ_in_half_types_and_in_no_other() -> None:
    checked = {"tokens": np.array([5, 6, 7]), "logit": np.array([1.0, 2.0, 3.0])}
    timed = {"tokens": np.array([5, 9, 8]), "logit": np.array([1.0, 7.0, 8.0])}
    assert suspicion.difference(timed, checked, "bf16") == ""
    assert suspicion.difference(timed, checked, "fp32")
    assert suspicion.difference({"tokens": np.array([4, 6, 7]), "logit": checked["logit"]}, checked, "bf16")


class Cached(Unfinished):
    """Honest, on a processor with a cache: a batch that was just stepped lies there, another must be fetched."""

    def __init__(self, saved_s: float) -> None:
        super().__init__()
        self.warm: Any = None
        self.saved_s = saved_s

    def step(self, x: Any) -> Any:
        self.now += 16e-6 - (self.saved_s if x is self.warm else 0.0)
        self.warm = x
        return x

    def sync(self, y: Any) -> None:
        self.now += 0.0


@pytest.mark.parametrize(("evicted", "told"), [(True, False), (False, True)])
def test_what_a_cache_saves_is_no_memory_of_answers(monkeypatch: pytest.MonkeyPatch, evicted: bool, told: bool) -> None:
    """As in Flax's steps of 13 µs, of which a batch over and over saves a quarter; evicting nothing shows nothing."""
    of = Cached(saved_s=3e-6)

    def cold(session: Cached, x: Any, held: np.ndarray) -> float:
        session.warm = None if evicted else session.warm
        return suspicion._step_s(session, x)

    monkeypatch.setattr(suspicion, "_cold_step_s", cold)
    monkeypatch.setattr(suspicion, "STANDING_S", 0.001)
    x = of.to_device(ROWS)
    assert bool(suspicion.remembers(of, x, suspicion.fresh_batches(ROWS, 6), 13e-6)) is told
