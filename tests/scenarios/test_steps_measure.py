"""The conversation, held with a fake that answers from a script: no process, no clock, no waiting."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest

from tests.conftest import make_cell
from weighbridge.bench.core import Cell
from weighbridge.bench.core.effort import QUICK
from weighbridge.bench.scenarios import catalog
from weighbridge.bench.scenarios.base import A, ImplausibleError, ParityError, Request, answer_type
from weighbridge.bench.scenarios.steps.measure import Weighing
from weighbridge.bench.scenarios.steps.requests import (
    Block,
    Check,
    Close,
    First,
    Memory,
    Opened,
    Score,
    Settle,
    Suspect,
)

PASSED = {"ratio": 1.0, "limit": 2.0, "passed": True}
WRONG = {"ratio": 9.0, "limit": 2.0, "passed": False, "output": "logits"}
OPENED = Opened(environment={"machine": "m"}, items=8, clock_cost_s=1e-7)
TEXT = msgspec.structs.replace(OPENED, item="token")
PEAKS = {"host_peak_bytes": 7, "device_peak_bytes": None, "device_reserved_bytes": None, "device_process_bytes": 3}


class Script:
    """A worker whose steps take the seconds of a list, in turn; the last one repeats."""

    def __init__(self, steps_s: list[float], parity: dict[str, Any] = PASSED, **answers: Any) -> None:
        self.steps_s, self.parity, self.answers, self.asked = steps_s, parity, answers, list[Request[Any]]()
        self.taken = 0
        self.differs = self.suspicion = ""
        self.score: dict[str, float] = {"r2": 0.5, "broken": float("nan")}

    def __call__(self, request: Request[A]) -> A:
        self.asked.append(request)
        return msgspec.convert(self.told(request), answer_type(request))

    def told(self, request: Request[Any]) -> Any:
        match request:
            case First():
                return {"first_s": 3.0, "compiles": False, "peak": 5} | self.answers
            case Check():
                return {"parity": self.parity}
            case Settle():
                return {"reset": True, "device_reset": False}
            case Score():
                return {"score": self.score, "measured": "yesterday"}
            case Block(steps=steps, mode=mode):
                samples = [self.next() for _ in range(1 if mode == "queued" else steps)]
                return {"samples": samples, "faults": 12.5, "differs": self.differs}
            case Suspect():
                return self.suspicion
            case Memory():
                return {**PEAKS, "facts": {"threads": 2}} | self.answers
            case _:
                return None

    def next(self) -> float:
        self.taken += 1
        return self.steps_s[min(self.taken, len(self.steps_s)) - 1]

    def kinds(self) -> list[str]:
        names = [type(request).__name__ for request in self.asked]
        return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]

    def blocks(self, mode: str = "latency") -> list[Block]:
        return [request for request in self.asked if isinstance(request, Block) and request.mode == mode]


class Resetting(Script):
    """Of a device whose peaks can be reset."""

    def told(self, request: Request[Any]) -> Any:
        return {"reset": True, "device_reset": True} if isinstance(request, Settle) else super().told(request)


def new(cell: Cell | None = None) -> Weighing:
    cell = cell or make_cell()
    return catalog.scenario(cell.scenario).begin(cell, QUICK, lambda name: None)


def go_through(weighing: Weighing, script: Script, turns: int = 2, opened: Opened = OPENED) -> Weighing:
    """One process from beginning to end."""
    weighing.begin(script, opened)
    weighing.get_ready()
    for _ in range(turns):
        weighing.block()
    weighing.finish()
    return weighing


def weighed(script: Script, cell: Cell | None = None, opened: Opened = OPENED) -> Weighing:
    return go_through(new(cell), script, opened=opened)


def test_right_comes_before_fast_and_peaks_are_reset_in_between() -> None:
    script = Script([0.1])
    weighed(script)
    assert script.kinds() == ["First", "Check", "Score", "Settle", "Block", "Memory", "Suspect", "Count", "Close"]


def test_nothing_is_timed_of_a_wrong_result() -> None:
    script, weighing = Script([0.1], WRONG), new()
    weighing.begin(script, OPENED)
    with pytest.raises(ParityError, match="'logits' is 9 times the reference's, limit 2"):
        weighing.get_ready()
    assert script.kinds() == ["First", "Check"]
    record = weighing.record(status="parity_failed")
    assert record.parity
    assert not record.parity.passed
    assert (record.compile_s, record.step_s, record.blocks) == (3.0, [], [])


def test_a_request_before_a_worker_is_open_is_a_mistake() -> None:
    with pytest.raises(RuntimeError, match="no worker is open"):
        new().block()


def test_warm_up_is_kept_apart_from_the_steady_state() -> None:
    record = weighed(Script([0.2, 0.15, 0.12, 0.1])).record(status="ok")
    assert record.warmup_s[:3] == [0.2, 0.15, 0.12]
    assert set(record.step_s) == {0.1}
    assert record.compile_s == 3.0
    assert record.warm_compile_s is None


def test_a_warm_up_that_never_ends_is_ended_by_its_cap() -> None:
    record = weighed(Script([0.5 * 0.8**index for index in range(30)])).record(status="ok")
    assert QUICK.warm_cap_s <= sum(record.warmup_s) < QUICK.warm_cap_s + 3 * 0.5


def test_a_second_process_is_not_scored_again_but_is_checked_again() -> None:
    weighing, second = weighed(Script([0.1])), Script([0.1])
    go_through(weighing, second)
    assert second.kinds() == ["First", "Check", "Settle", "Block", "Memory", "Close"]
    assert weighing.record(status="ok").score == {"r2": 0.5, "broken": None}


def test_a_second_process_that_computes_something_else_fails() -> None:
    weighing = weighed(Script([0.1]))
    with pytest.raises(ParityError):
        go_through(weighing, Script([0.1], WRONG))
    record = weighing.record(status="parity_failed")
    assert record.parity
    assert record.parity.ratio == 9.0
    assert len(record.step_s) == sum(map(sum, record.blocks)) > 0


def test_the_worst_parity_of_all_processes_is_kept() -> None:
    weighing = new()
    for ratio in (1.0, 1.5, 1.2):
        go_through(weighing, Script([0.1], {**PASSED, "ratio": ratio}))
    assert weighing.parity.ratio == 1.5


@pytest.mark.parametrize(("compiles", "warm_compile_s"), [(True, 1.0), (False, None)])
def test_the_second_process_tells_what_the_compile_cache_saves(compiles: bool, warm_compile_s: float | None) -> None:
    weighing = new()
    for first_s in (3.0, 1.0, 2.0):
        go_through(weighing, Script([0.1], first_s=first_s, compiles=compiles))
    record = weighing.record(status="ok")
    assert (record.compile_s, record.warm_compile_s) == (3.0, warm_compile_s)


def test_blocks_tell_what_each_process_took() -> None:
    weighing = new()
    medians: list[list[float]] = []
    for step_s, turns in ((0.1, 2), (0.02, 4), (0.1, 1)):
        go_through(weighing, Script([step_s]), turns)
        medians.append(weighing.block_medians())
    record = weighing.record(status="ok")
    assert record.blocks == [[2, 2], [10] * 4, [2]]
    assert sum(map(sum, record.blocks)) == len(record.step_s)
    assert medians == [[0.1, 0.1], [0.02] * 4, [0.1]]
    assert (record.queued_blocks, len(record.queued_step_s)) == ([2, 4, 1], 7)
    assert record.minor_faults == [[12.5] * 2, [12.5] * 4, [12.5]]
    assert record.crowded == [[False] * 2, [False] * 4, [False]]


def test_a_turn_with_a_busy_neighbour_is_kept_and_counts_for_nothing() -> None:
    weighing, script = new(), Script([0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.2])
    weighing.begin(script, OPENED)
    weighing.get_ready()
    weighing.block()
    weighing.beside(False, 1.02)
    assert not weighing.crowded()
    weighing.block()
    weighing.beside(True, 1.5)
    assert weighing.crowded()
    first, second = weighing.block_medians()
    assert first > 0
    assert math.isnan(second)
    record = weighing.record(status="ok")
    assert record.crowded == [[False, True]]
    assert record.slowdown == [1.02, 1.5]


def test_where_nobody_looks_outside_nothing_is_told_of_it() -> None:
    weighing = new()
    weighing.begin(Script([0.1] * 7), OPENED)
    weighing.get_ready()
    weighing.block()
    weighing.beside(False, None)
    assert weighing.record(status="ok").slowdown == []


def test_a_turn_returns_the_seconds_that_it_timed_latency_and_queue() -> None:
    for step_s, repeats in ((0.1, 1), (1e-6, 10)):
        script, weighing = Script([step_s]), new()
        weighing.begin(script, OPENED)
        weighing.get_ready()
        seconds = weighing.block()
        single, queued = script.blocks()[-1], script.blocks("queued")[-1]
        assert single.repeats == repeats
        assert seconds == pytest.approx((single.steps * repeats + queued.steps) * step_s)


def test_queued_steps_have_a_lead_in_of_their_own() -> None:
    script = Script([0.0019])
    weighed(script)
    assert (script.blocks("queued")[-1].steps, script.blocks("queued")[-1].lead_in) == (105, 10)
    script = Script([0.09])
    weighed(script)
    assert script.blocks("queued")[-1].lead_in == 1


@pytest.mark.parametrize("mode", ["latency", "queued"])
def test_what_was_timed_and_is_not_what_was_checked_is_implausible(mode: str) -> None:
    class Later(Script):
        def told(self, request: Request[Any]) -> Any:
            self.differs = "all of it" if isinstance(request, Block) and request.mode == mode else ""
            return super().told(request)

    weighing = new()
    weighing.begin(Later([0.1]), OPENED)
    weighing.get_ready()
    with pytest.raises(ImplausibleError, match="all of it"):
        weighing.block()


def test_suspicion_is_told_once_a_cell_and_ends_it() -> None:
    script, second = Script([0.1]), Script([0.1])
    go_through(weighed(script), second)
    assert [sum(isinstance(each, Suspect) for each in one.asked) for one in (script, second)] == [1, 0]
    assert next(each for each in script.asked if isinstance(each, Suspect)).step_s == 0.1
    script.suspicion = "it remembers"
    with pytest.raises(ImplausibleError, match="it remembers"):
        weighed(script)


@pytest.mark.parametrize("scenario", ["infer", "parity"])
def test_a_cell_that_ran_on_another_device_is_implausible(scenario: str) -> None:
    elsewhere = Script([0.1], facts={"threads": 2, "ran_on": "cpu"})
    with pytest.raises(ImplausibleError, match="it ran on cpu, not on cuda"):
        weighed(elsewhere, make_cell(device="cuda", scenario=scenario))
    for told in ("cpu", None):
        weighed(Script([0.1], facts={"ran_on": told}), make_cell(scenario=scenario))


def test_a_device_peak_that_cannot_be_reset_is_taken_from_a_process_that_compiled_nothing() -> None:
    weighing = new()
    for device in (9, 4, 5):
        go_through(weighing, Script([0.1], device_peak_bytes=device))
    record = weighing.record(status="ok")
    assert record.device_peak_bytes == 5
    assert record.facts["device_peaks_since"] == "opening, programs compiled before"


def test_the_peaks_of_a_process_that_compiled_are_left_out_once_there_is_another() -> None:
    weighing = new()
    go_through(weighing, Resetting([0.1], host_peak_bytes=9, device_peak_bytes=9))
    assert weighing.record(status="ok").host_peak_bytes == 9
    for host in (7, 8):
        go_through(weighing, Resetting([0.1], host_peak_bytes=host, device_peak_bytes=host))
    record = weighing.record(status="ok")
    assert (record.host_peak_bytes, record.device_peak_bytes) == (8, 8)


def test_what_stood_after_import_is_kept() -> None:
    weighing = new()
    weighing.begin(Script([0.1]), msgspec.structs.replace(OPENED, import_bytes=70))
    weighing.begin(Script([0.1]), msgspec.structs.replace(OPENED, import_bytes=60))
    imported = [process.import_bytes for process in weighing.record(status="ok").processes]
    assert imported == [70, 60]
    assert weighing.record(status="ok").host_import_bytes == 60  # of the later ones, as the peak


def test_peaks_are_the_largest_of_all_processes_and_none_is_not_nought() -> None:
    weighing = new()
    for host, device in ((5, 9), (7, None), (9, 4), (8, 2)):
        go_through(weighing, Resetting([0.1], host_peak_bytes=host, device_peak_bytes=device))
    record = weighing.record(status="ok")
    assert (record.host_peak_bytes, record.device_peak_bytes, record.device_reserved_bytes) == (9, 4, None)


@pytest.mark.parametrize(("step_s", "steps", "lead_in"), [(0.0019, 105, 10), (0.019, 10, 1), (0.03, 6, 0), (5.0, 1, 0)])
def test_a_tenth_of_a_block_goes_before_it_untimed_unless_steps_are_long(
    step_s: float, steps: int, lead_in: int
) -> None:
    script = Script([step_s])
    weighed(script)
    assert (script.blocks()[-1].steps, script.blocks()[-1].lead_in) == (steps, lead_in)


def test_a_lead_in_counts_single_steps_where_they_are_repeated() -> None:
    script = Script([1e-6])
    weighed(script)
    steady = script.blocks()[-1]
    assert (steady.steps, steady.repeats, steady.lead_in) == (QUICK.longest_block, 10, QUICK.longest_block)


def test_a_generation_is_timed_to_its_first_token_too() -> None:
    script = Script([0.1])
    record = weighed(script, make_cell(scenario="generate"), TEXT).record(status="ok")
    assert len(record.first_token_s) == QUICK.first_tokens
    assert [block.steps for block in script.blocks("first_token")] == [1, QUICK.first_tokens]
    assert record.item == "token"


def test_a_generation_of_images_has_no_first_token_and_may_have_a_score() -> None:
    script = Script([0.1])
    opened = msgspec.structs.replace(OPENED, item="image")
    record = weighed(script, make_cell(scenario="generate"), opened).record(status="ok")
    assert (record.item, record.first_token_s, script.blocks("first_token")) == ("image", [], [])
    assert record.score["r2"] == 0.5


def test_what_no_task_scores_has_no_score_and_no_day_on_which_it_was_measured() -> None:
    script = Script([0.1])
    script.score = {}
    record = weighed(script, make_cell(scenario="generate"), TEXT).record(status="ok")
    assert (record.score, "score_measured" in record.facts) == ({}, False)


def test_first_tokens_of_all_processes_are_kept() -> None:
    weighing = new(make_cell(scenario="generate"))
    for _ in range(2):
        go_through(weighing, Script([0.1]), opened=TEXT)
    assert len(weighing.record(status="ok").first_token_s) == 2 * QUICK.first_tokens
    assert not weighed(Script([0.1])).record(status="ok").first_token_s


def test_a_score_that_is_not_finite_is_none_and_says_when_it_was_measured() -> None:
    record = weighed(Script([0.1])).record(status="ok")
    assert record.score == {"r2": 0.5, "broken": None}
    assert record.facts == {"score_measured": "yesterday", "threads": 2}
    assert msgspec.json.decode(msgspec.json.encode(record), type=type(record)) == record


def test_a_long_step_is_not_queued() -> None:
    script = Script([0.15])
    record = weighed(script).record(status="ok")
    assert (record.queued_step_s, script.blocks("queued")) == ([], [])


def test_the_last_word_is_close() -> None:
    script = Script([0.1])
    weighed(script)
    assert isinstance(script.asked[-1], Close)
    assert sum(isinstance(request, Settle) for request in script.asked) == 1
