"""The conversation, held with a fake that answers from a script: no process, no clock, no waiting."""

from typing import Any

import pytest

from bench.core import Cell
from bench.weigh import QUICK, ParityError, Weighing
from bench.worker import Block, Check, Close, First, Memory, Request, Score, Settle
from tests.conftest import make_cell

PASSED = {"ratio": 1.0, "limit": 2.0, "passed": True}
OPENED = {"environment": {"machine": "m"}, "items": 8, "clock_cost_s": 1e-7}


class Script:
    """A worker whose steps take the seconds of a list, in turn; the last one repeats."""

    def __init__(self, steps_s: list[float], parity: dict[str, Any] = PASSED) -> None:
        self.steps_s, self.parity, self.asked = steps_s, parity, list[Request]()
        self.taken = 0

    def __call__(self, request: Request) -> dict[str, Any]:
        self.asked.append(request)
        match request:
            case First():
                return {"first_s": 3.0, "peak": 5}
            case Check():
                return self.parity
            case Score():
                return {"r2": 0.5, "broken": float("nan")}
            case Block(steps=steps, mode=mode):
                return {"samples": [self.next() for _ in range(1 if mode == "queued" else steps)]}
            case Memory():
                return {"host_peak_bytes": 7, "device_peak_bytes": None, "facts": {"threads": 2}}
            case _:
                return {}

    def next(self) -> float:
        self.taken += 1
        return self.steps_s[min(self.taken, len(self.steps_s)) - 1]

    def kinds(self) -> list[str]:
        names = [type(request).__name__ for request in self.asked]
        return [name for index, name in enumerate(names) if index == 0 or names[index - 1] != name]


def weighed(script: Script, cell: Cell | None = None) -> Weighing:
    weighing = Weighing(cell or make_cell(), QUICK, script, lambda name: None)
    weighing.run(OPENED)
    return weighing


def test_right_comes_before_fast_and_peaks_are_reset_in_between() -> None:
    script = Script([0.1])
    weighed(script)
    assert script.kinds() == ["First", "Check", "Score", "Settle", "Block", "Memory", "Close"]


def test_nothing_is_timed_of_a_wrong_result() -> None:
    script = Script([0.1], {"ratio": 9.0, "limit": 2.0, "passed": False, "output": "logits"})
    weighing = Weighing(make_cell(), QUICK, script, lambda name: None)
    with pytest.raises(ParityError, match="'logits' is 9 times the reference's, limit 2"):
        weighing.run(OPENED)
    assert script.kinds() == ["First", "Check"]
    assert weighing.record(status="parity_failed").parity == weighing.fields["parity"]


def test_warm_up_is_kept_apart_from_the_steady_state() -> None:
    record = weighed(Script([0.4, 0.3, 0.2, 0.1])).record(status="ok")
    assert record.warmup_s[:3] == [0.4, 0.3, 0.2]
    assert set(record.step_s) == {0.1}
    assert record.settled
    assert record.compile_s == 3.0
    assert record.warm_compile_s is None


def test_a_step_that_never_settles_ends_at_the_cap_and_says_so() -> None:
    record = weighed(Script([float(1 + index % 7) for index in range(1000)])).record(status="ok")
    assert record.settled is False
    assert sum(record.step_s) < 3 * QUICK.steady_cap_s + 20


def test_a_generation_is_timed_to_its_first_token_too() -> None:
    script = Script([0.1])
    record = weighed(script, make_cell(scenario="generate")).record(status="ok")
    assert len(record.first_token_s) == 5
    assert record.score == {}
    assert not any(isinstance(request, Score) for request in script.asked)


def test_a_score_that_is_not_finite_is_none() -> None:
    assert weighed(Script([0.1])).record(status="ok").score == {"r2": 0.5, "broken": None}


def test_short_steps_are_repeated_between_two_readings() -> None:
    script = Script([1e-6])
    weighed(script)
    steady = [request for request in script.asked if isinstance(request, Block) and request.mode == "latency"]
    assert steady[-1].repeats == 10
    assert any(isinstance(request, Close | Settle) for request in script.asked)
