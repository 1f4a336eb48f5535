"""Persons stay on one side of the split, intervals are calibrated on rows that nothing is measured on."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from weighbridge.bench.core import Arrays, Examples, arrays_hash, library_file
from weighbridge.tasks import uncertainty

TASK = uncertainty.TASK


@pytest.fixture(scope="module")
def held_out() -> Examples:
    return TASK.data({}, "eval", "small")


def answers(mean_N: np.ndarray, deviation: float) -> Arrays:
    """Of an ensemble of one that is as sure of every row."""
    return {"mean": mean_N[:, None], "variance": np.full((len(mean_N), 1), deviation**2)}


def test_rows_are_as_the_docstring_says(held_out: Examples) -> None:
    train = TASK.data({}, "train", "small")
    assert len(train) == 12223
    assert np.bincount(held_out.targets["calibrating"]).tolist() == [3741, 4222]
    assert train.inputs["features"].shape[1] == held_out.inputs["features"].shape[1] == uncertainty.FEATURES == 27
    features = train.inputs["features"].astype(np.float64)
    np.testing.assert_allclose(features.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(features.std(0), 1, atol=1e-6)
    assert train.targets["target"].std() == pytest.approx(1, abs=1e-5)


def test_the_worked_example() -> None:
    features, visits, part = uncertainty.years()
    assert len(features) == 20186
    assert visits[:5].tolist() == [0, 2, 0, 0, 0]
    coins, idp = features[0, :2]
    age, female, child = features[0, 11:14]
    assert np.expm1(coins) == pytest.approx(100)
    assert (idp, round(age, 1), female, child) == (1, 42.9, 0, 0)
    assert part[0] < uncertainty.CALIBRATING, "it is trained on"


def test_no_person_is_on_two_sides() -> None:
    text = library_file("uncertainty", "statsmodels", uncertainty.FILE, uncertainty.SHA256).decode()
    rows = [row for row in csv.DictReader(text.splitlines()) if row["educdec"]]
    sides = [
        {row["zper"] for row, at in zip(rows, uncertainty.years()[2], strict=True) if at == part} for part in range(5)
    ]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 5908


def test_statsmodels_own_file_holds_the_same_visits_and_no_person() -> None:
    from importlib.util import find_spec
    from pathlib import Path

    found = find_spec("statsmodels")
    assert found is not None
    assert found.origin is not None
    with (Path(found.origin).parent / "datasets/randhie/randhie.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert "zper" not in rows[0]
    theirs = np.sort([float(row["mdvis"]) for row in rows])
    assert len(theirs) == 20190
    assert abs(theirs.sum() - uncertainty.years()[1].sum()) < 20


def test_the_same_call_returns_the_same_bytes(held_out: Examples) -> None:
    uncertainty.years.cache_clear()
    again = TASK.data({}, "eval", "small")
    assert arrays_hash({**again.inputs, **again.targets}) == arrays_hash({**held_out.inputs, **held_out.targets})


def test_the_large_preset_has_rows_of_both_kinds() -> None:
    base = TASK.data({}, "eval", "base")
    assert np.bincount(base.targets["calibrating"]).min() > 400


def test_the_baseline_is_ridge_with_one_deviation(held_out: Examples) -> None:
    from sklearn.linear_model import Ridge

    train = TASK.data({}, "train", "small")
    model = Ridge(1.0).fit(train.inputs["features"], train.targets["target"])
    deviation = float(np.std(train.targets["target"] - model.predict(train.inputs["features"])))
    found = TASK.score({**held_out.targets, **answers(model.predict(held_out.inputs["features"]), deviation)})
    assert found["crps"] == pytest.approx(TASK.baseline.value, abs=1e-4)
    assert found["coverage_error"] < 2


def test_a_perfect_answer_costs_nothing_and_a_shuffled_one_more_than_the_baseline(held_out: Examples) -> None:
    target = held_out.targets["target"].astype(np.float64)
    assert TASK.score({**held_out.targets, **answers(target, 1e-7)})["crps"] == pytest.approx(0, abs=1e-6)
    shuffled = np.random.default_rng(0).permutation(target)
    assert TASK.score({**held_out.targets, **answers(shuffled, 0.1)})["crps"] > TASK.baseline.value


@pytest.mark.parametrize("claimed", [0.2, 1.0, 7.0])
def test_intervals_cover_what_they_should_however_sure_the_model_claims_to_be(claimed: float) -> None:
    rng = np.random.default_rng(3)
    target = rng.normal(size=40000)
    rows = {"target": target, "scale": np.full(40000, 2.0), "calibrating": np.arange(40000) % 2}
    found = TASK.score({**rows, **answers(np.zeros(40000), claimed)})
    assert found["coverage_error"] < 1
    assert found["width"] == pytest.approx(2 * 2 * 1.645, rel=0.03)


def test_calibrating_rows_are_not_measured(held_out: Examples) -> None:
    targets = dict(held_out.targets)
    said = answers(np.zeros(len(held_out)), 1.0)
    before = TASK.score({**targets, **said})
    targets["target"] = np.where(targets["calibrating"] == 1, targets["target"] + 5, targets["target"])
    after = TASK.score({**targets, **said})
    assert (after["crps"], after["nll"]) == (before["crps"], before["nll"])
    assert after["width"] > before["width"]


def test_members_that_disagree_widen_the_mixture() -> None:
    mean, deviation = uncertainty.mixture(np.array([[1.0, 3.0]]), np.array([[2.0, 4.0]]))
    assert (mean.tolist(), deviation.tolist()) == ([2.0], [2.0])


def test_the_calibrated_reach_is_that_of_the_next_row() -> None:
    assert uncertainty.conformal(np.arange(1.0, 20.0)) == 18
    assert uncertainty.conformal(np.arange(1.0, 4.0)) == 3, "with too few rows the largest, which promises less"
