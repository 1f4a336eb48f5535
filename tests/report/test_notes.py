"""Remarks of many rows that say one thing of several figures are one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from weighbridge.bench.report.notes import ranged

BUSY = "other processes used {} processors while timing: verdicts go by a floor of {}%"


def test_remarks_that_differ_in_a_figure_are_one_with_its_span() -> None:
    told = [BUSY.format("1.6", "10.0"), "not calibrated", BUSY.format("11.0", "10.0"), BUSY.format("1.7", "10.0")]
    assert ranged(told) == [BUSY.format("1.6 to 11.0", "10.0"), "not calibrated"]


def test_versions_and_days_are_no_figures() -> None:
    told = ["jaxlib 0.10.2", "jaxlib 0.11.2", "measured 2026-11-23", "measured 2026-11-24"]
    assert ranged(told) == told


@given(st.lists(st.text(max_size=5) | st.sampled_from(["a 1.5", "a 2.25 b", "a 2.5 b"])))
def test_what_is_alike_is_told_once_and_nothing_else_is_left_out(texts: list[str]) -> None:
    found = ranged(texts)
    assert len(found) == len(set(found)) <= len(set(texts))
    assert {text for text in texts if "." not in text} <= set(found)
    if {"a 2.25 b", "a 2.5 b"} <= set(texts):
        assert "a 2.25 to 2.5 b" in found
