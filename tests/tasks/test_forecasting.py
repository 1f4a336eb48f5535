"""The series is statsmodels' own, nothing that is scored was trained on, and the score is what it says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from weighbridge.bench.core import Examples, arrays_hash, metrics
from weighbridge.tasks import forecasting

TASK = forecasting.TASK
FIRST_HELD_OUT = 526 - 72


@pytest.fixture(scope="module")
def held_out() -> Examples:
    return TASK.data({}, "eval", "small")


def ppm(differences: np.ndarray, months: np.ndarray) -> np.ndarray:
    """Differences (N, L, 1) from the month before each row's origin, as values."""
    return differences[:, :, 0] * forecasting.UNIT_PPM + forecasting.monthly()[months - 1, None]


def test_months_are_statsmodels_own() -> None:
    from statsmodels.datasets import co2

    weeks: Any = co2.load_pandas().data
    theirs = weeks["co2"].resample("MS").mean().to_numpy()
    ours, known = forecasting.monthly(), ~np.isnan(theirs)
    np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-12)
    assert len(ours) == 526
    assert np.flatnonzero(~known).tolist() == [3, 7, 71, 72, 73]
    assert ours[72] == pytest.approx((ours[70] + ours[74]) / 2)


def test_the_worked_example(held_out: Examples) -> None:
    assert len(held_out) == 49
    assert held_out.inputs["past"].shape[1:] == (36, 1)
    assert held_out.inputs["past"][:, -1].tolist() == [[0.0]] * 49
    said = ppm(held_out.targets["target"], np.arange(FIRST_HELD_OUT, 526 - 23))[0]
    assert [round(float(said[month]), 3) for month in (0, 23)] == [362.025, 364.25]


def test_nothing_that_is_held_out_is_trained_on() -> None:
    origins = forecasting.origins(526, "train", forecasting.WINDOWS["small"])
    train = TASK.data({}, "train", "small")
    assert len(train) == len(origins) == 395
    assert origins[-1] + 24 == FIRST_HELD_OUT
    value = forecasting.monthly()
    for part, first in (("past", 0), ("target", 36)):
        array = {**train.inputs, **train.targets}[part]
        windows = np.lib.stride_tricks.sliding_window_view(value[:FIRST_HELD_OUT], 60)
        np.testing.assert_allclose(ppm(array, origins), windows[:, first : first + array.shape[1]], atol=1e-4)


def test_held_out_months_change_no_training_row(monkeypatch: pytest.MonkeyPatch) -> None:
    before, value = TASK.data({}, "train", "small"), forecasting.monthly()
    value[FIRST_HELD_OUT:] = 0
    monkeypatch.setattr(forecasting, "monthly", lambda: value)
    after = TASK.data({}, "train", "small")
    assert arrays_hash({**after.inputs, **after.targets}) == arrays_hash({**before.inputs, **before.targets})


def test_the_seasonal_naive_forecast_scores_as_it_is_said_to(held_out: Examples) -> None:
    year = held_out.inputs["past"][:, -12:]
    found = TASK.score({**held_out.targets, "prediction": np.tile(year, (1, 2, 1))})
    assert found["mase"] == pytest.approx(2.061, abs=1e-3)
    assert found["mase_of_three"] == pytest.approx(2.099, abs=1e-3)


def test_the_score_is_the_mean_of_each_origins_mase(held_out: Examples) -> None:
    value, origins = forecasting.monthly(), np.arange(FIRST_HELD_OUT, 526 - 23)
    flat = np.zeros_like(held_out.targets["target"])
    by_origin = [metrics.mase(value[o : o + 24], np.full(24, value[o - 1]), value[:o], 12) for o in origins]
    found = TASK.score({**held_out.targets, "prediction": flat})
    assert found["mase"] == pytest.approx(np.mean(by_origin), rel=1e-5)
    assert found["mase_of_three"] == pytest.approx(np.mean([by_origin[index] for index in (0, 24, 48)]), rel=1e-5)
    assert TASK.score({**held_out.targets, "prediction": held_out.targets["target"]})["mase"] == 0


def test_channels_of_the_large_preset_are_the_series_at_older_months() -> None:
    past = TASK.data({}, "eval", "base").inputs["past"]
    assert past.shape == (49, 336, 7)
    steps = np.diff(past, axis=1)
    np.testing.assert_allclose(steps[1:, :, 3], steps[:-1, :, 2], atol=1e-5)
