import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.bench.core import Arrays, record
from weighbridge.bench.measure import parity

RNG = np.random.default_rng(0)
ORACLE: Arrays = {"logits": RNG.normal(size=(16, 10))}
REFERENCE: Arrays = {"logits": (ORACLE["logits"] + 1e-6 * RNG.normal(size=(16, 10))).astype(np.float32)}


def judged(logits: np.ndarray, precision: str = "fp32", decision: str = "logits") -> record.Parity:
    return parity.judge({"logits": logits}, REFERENCE, ORACLE, decision, precision)  # type: ignore[arg-type]


def test_the_reference_itself_is_about_one_unit_away() -> None:
    verdict = judged(REFERENCE["logits"])
    assert verdict.passed
    assert verdict.ratio == pytest.approx(1.0, abs=0.06)
    assert verdict.decisions_equal == 1.0


@given(st.floats(0.1, 100))
def test_the_ratio_is_the_error_in_units_of_the_references(factor: float) -> None:
    error = REFERENCE["logits"] - ORACLE["logits"]
    verdict = judged(ORACLE["logits"] + factor * error, decision="")
    unit = parity.rmse(REFERENCE["logits"], ORACLE["logits"])
    floor = parity.FLOOR * float(np.sqrt(np.mean(ORACLE["logits"] ** 2)))
    assert verdict.passed == (factor * unit <= 2 * unit + floor)


def test_a_single_other_argmax_fails_fp32_and_not_half_types() -> None:
    close = ORACLE["logits"].copy()
    close[0] = np.sort(close[0])
    oracle = {"logits": close}
    other = close.copy()
    other[0, -1], other[0, -2] = other[0, -2], other[0, -1]
    loose = {"logits": close + 10 * RNG.normal(size=close.shape)}
    loose["logits"][0] = close[0]
    assert not parity.judge({"logits": other}, loose, oracle, "logits", "fp32").passed
    assert parity.judge({"logits": other}, {**loose, "logits": other}, oracle, "logits", "bf16").passed


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_fails(bad: float) -> None:
    out = REFERENCE["logits"].copy()
    out[3, 3] = bad
    verdict = judged(out, decision="")
    assert not verdict.passed
    assert verdict.ratio is None


def test_a_missing_or_misshapen_output_fails() -> None:
    assert not parity.judge({}, REFERENCE, ORACLE, "logits", "fp32").passed
    assert not judged(REFERENCE["logits"][:8]).passed


def test_tokens_must_be_identical() -> None:
    tokens = {"tokens": np.arange(12).reshape(3, 4)}
    other = {"tokens": tokens["tokens"] + np.eye(3, 4, dtype=int)}
    assert parity.judge(tokens, tokens, tokens, "", "fp32").passed
    verdict = parity.judge(other, tokens, tokens, "", "fp32")
    assert not verdict.passed
    assert verdict.decisions_equal == pytest.approx(0.75)


def test_an_exactly_zero_oracle_does_not_divide_by_zero() -> None:
    zero = {"y": np.zeros(4)}
    assert parity.judge(zero, zero, zero, "", "fp32").passed
    assert not parity.judge({"y": np.ones(4)}, zero, zero, "", "fp32").passed


def test_the_difference_is_told_in_the_outputs_own_unit() -> None:
    oracle = {"y": np.array([3.0, -4.0]), "z": np.zeros(1)}
    reference = {"y": np.array([3.0, -4.001]), "z": np.zeros(1)}
    found = parity.judge({"y": np.array([3.0, -4.003]), "z": np.zeros(1)}, reference, oracle, "", "fp32")
    assert found.output == "y"
    assert found.difference == pytest.approx(0.002)
    assert found.scale == pytest.approx(np.sqrt(12.5))
    missing = parity.judge({"y": np.full(2, np.nan), "z": np.zeros(1)}, reference, oracle, "", "fp32")
    assert missing.difference is None
