"""The self-audit: what MLPerf's TEST01 and TEST04 are to catch is caught."""

import numpy as np
import pytest

from weighbridge.bench.core import Arrays
from weighbridge.bench.measure.parity import error
from weighbridge.bench.scenarios.serve.audit import (
    MOST_LOGGED,
    MOST_LOGGED_BYTES,
    AuditResult,
    Log,
    Repeats,
    audited,
    rows,
)

RNG = np.random.default_rng(0)
SAMPLES = list(range(6))
SCORED = rows(SAMPLES, {"logits": RNG.normal(size=(6, 10)).astype(np.float32)})
EQUAL = Repeats(same_s=[1.0, 1.1, 0.9], varied_s=[1.0, 1.1, 0.9])


def judged(change: float = 0.0, repeats: Repeats = EQUAL, decision: str = "logits") -> AuditResult:
    loaded = [(sample, {"logits": SCORED[sample]["logits"] * (1 + change)}) for sample in SAMPLES]
    return audited(loaded, SCORED, "fp32", decision, repeats)


def test_equal_outputs_and_no_memory_pass() -> None:
    found = judged(1e-6)
    assert found.passed
    assert found.error == pytest.approx(1e-6, rel=0.1)
    assert found.decisions_equal == 1.0


def test_another_program_under_load_fails() -> None:
    assert not judged(1e-3).same_outputs


def test_swapped_answers_fail_even_in_their_decisions() -> None:
    swapped = [(sample, SCORED[(sample + 1) % 6]) for sample in SAMPLES]
    found = audited(swapped, SCORED, "fp32", "logits", EQUAL)
    assert not found.same_outputs
    assert found.decisions_equal is not None
    assert found.decisions_equal < 1


def test_nothing_logged_is_no_pass() -> None:
    assert not audited([], SCORED, "fp32", "", EQUAL).passed


@pytest.mark.parametrize(("speedup", "passes"), [(1.0, True), (1.09, True), (1.2, False)])
def test_one_sample_over_and_over_may_be_a_tenth_faster(speedup: float, passes: bool) -> None:
    found = judged(repeats=Repeats(same_s=[1.0] * 5, varied_s=[speedup] * 5))
    assert found.no_memory == found.passed == passes
    assert found.repeat_speedup == pytest.approx(speedup)


@pytest.mark.parametrize(
    "found", [{"y": np.ones(3)}, {"y": np.ones((2, 2))}, {"z": np.ones(2)}, {"y": np.array([1.0, np.nan])}]
)
def test_shapes_names_and_nan_are_errors(found: Arrays) -> None:
    expected = {"y": np.ones(2)}
    assert not error(found, expected) <= 1e-4


def test_an_output_that_is_not_finite_is_told_as_none() -> None:
    assert audited([(0, {"logits": np.full(10, np.nan)})], SCORED, "fp32", "", EQUAL).error is None


def test_a_log_ends_by_count_and_by_bytes() -> None:
    small, large = Log(), Log()
    for sample in range(MOST_LOGGED + 50):
        small.note([sample, sample], {"y": np.zeros((2, 3))})
        large.note([sample], {"y": np.zeros((1, 2**20))})
    assert len(small.outputs) == MOST_LOGGED
    assert len(large.outputs) == MOST_LOGGED_BYTES // 2**23


def test_a_log_keeps_copies_of_the_first_answers() -> None:
    log, y = Log(), np.zeros((2, 3))
    log.note([4, 5], {"y": y})
    y += 1
    log.note([4], {"y": y})
    assert not log.outputs[4]["y"].any()


@pytest.mark.parametrize("place", range(len(SAMPLES)))
def test_one_sample_that_is_no_number_fails_wherever_it_stands(place: int) -> None:
    loaded = [(at, {"logits": SCORED[at]["logits"] * (np.nan if at == place else 1)}) for at in SAMPLES]
    found = audited(loaded, SCORED, "fp32", "", EQUAL)
    assert not found.same_outputs
    assert found.error is None


def test_one_output_that_is_no_number_fails_beside_one_that_is_right() -> None:
    expected = {"a": np.ones(2), "b": np.ones(2)}
    assert error({"a": np.ones(2), "b": np.full(2, np.nan)}, expected) == np.inf
