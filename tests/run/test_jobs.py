"""What a run needs, looked up by name; here: how patient it is."""

from __future__ import annotations

import pytest

from weighbridge.bench.core.effort import QUICK
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.run import jobs
from weighbridge.bench.run.plan import Filters


@pytest.mark.parametrize(("told", "seconds"), [(None, QUICK.patience_s), ("0", 0.0), ("2.5", 2.5)])
def test_patience_is_the_efforts_or_the_environments(
    told: str | None, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(jobs.PATIENCE, raising=False)
    if told is not None:
        monkeypatch.setenv(jobs.PATIENCE, told)
    assert jobs.job(jobs.prepare("fake", Filters()), 1.0).effort.patience_s == seconds


@pytest.mark.parametrize("told", ["", "long", "-1", "nan", "inf"])
def test_patience_is_seconds_and_is_asked_for_before_anything_is_weighed(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(jobs.PATIENCE, told)
    with pytest.raises(WeighbridgeError, match=f"WEIGHBRIDGE_PATIENCE_S is '{told}'; give seconds, such as 0"):
        jobs.job(jobs.prepare("fake", Filters()), 1.0)
