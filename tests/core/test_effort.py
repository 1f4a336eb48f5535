from __future__ import annotations

import pytest

from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.core.effort import EFFORTS, QUICK, STANDARD, STRICT, effort


def test_a_higher_tier_takes_more_processes_and_is_surer() -> None:
    assert [each.processes for each in (QUICK, STANDARD, STRICT)] == [3, 5, 9]
    assert QUICK.bound > STANDARD.bound > STRICT.bound
    assert QUICK.cap_s < STANDARD.cap_s < STRICT.cap_s


def test_a_tier_is_found_by_its_name() -> None:
    assert list(EFFORTS) == ["quick", "standard", "strict"]
    assert all(effort(name) is found and found.name == name for name, found in EFFORTS.items())


def test_an_unknown_tier_is_told_what_there_is() -> None:
    with pytest.raises(WeighbridgeError, match="unknown effort 'stict'; choose one of quick, standard, strict"):
        effort("stict")
