"""A record that contradicts itself is none; one that only looks odd is."""

from __future__ import annotations

import pytest

from tests.conftest import make_record
from weighbridge.bench.core.record import Noise, Parity
from weighbridge.bench.storage.contradictions import contradiction


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"parity": Parity(ratio=99.0, limit=2.0, passed=True)}, "parity is said to have passed with 99"),
        ({"parity": Parity(ratio=None, limit=2.0, passed=True)}, "parity is said to have passed with None"),
        ({"noise": Noise(floor=0.5)}, "nobody calibrated"),
    ],
)
def test_what_cannot_be_is_named(changes: dict[str, object], told: str) -> None:
    assert told in contradiction(make_record(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"parity": None, "noise": None},
        {"parity": Parity(ratio=1.0, limit=2.0, passed=False, decisions_equal=0.9), "status": "parity_failed"},
        {"parity": Parity(ratio=2.0, limit=2.0, passed=True)},
        {"noise": Noise(floor=0.5, calibrated="2026-11-26")},
        {"noise": Noise(floor=0.1)},
    ],
)
def test_what_can_be_is_not(changes: dict[str, object]) -> None:
    assert contradiction(make_record(**changes)) == ""
