"""Digits that are drawn: what is trained on, what is drawn from, and what the figures say of digits and of noise."""

from __future__ import annotations

import numpy as np
import pytest

from weighbridge.bench.core import Examples, Split, Task
from weighbridge.tasks import _digits as digits
from weighbridge.tasks import conditional_generation, image_generation

TASKS = {task.name: task for task in (image_generation.TASK, conditional_generation.TASK)}


@pytest.fixture(params=TASKS)
def task(request: pytest.FixtureRequest) -> Task:
    return TASKS[request.param]


@pytest.fixture
def known() -> digits.Digits:
    return digits.digits("test")["train"]


def draws(task: Task, preset: str) -> Examples:
    assert task.generated is not None
    return task.generated.examples({}, preset)


def figures(task: Task, image_NP: np.ndarray, label_N: np.ndarray) -> dict[str, float]:
    assert task.generated is not None
    return task.generated.score({"image": image_NP.reshape(-1, 8, 8, 1).astype(np.float32), "label": label_N})


def test_digits_are_as_the_docstring_says(known: digits.Digits) -> None:
    held = digits.digits("test")["eval"]
    assert (len(known.label), len(held.label)) == (1438, 359)
    assert known.image.min() == -1
    assert known.image.max() == 1
    assert ((known.image[0, :8] + 1) * 8).tolist() == [0, 0, 5, 13, 9, 1, 0, 0]
    assert known.label[0] == 0
    assert not {row.tobytes() for row in known.image} & {row.tobytes() for row in held.image}


@pytest.mark.parametrize("split", ["train", "eval"])
def test_rows_are_noised_digits_and_their_velocity(task: Task, split: Split) -> None:
    examples = task.data({}, split, "small")
    again = task.data({}, split, "small")
    share_N111 = digits.shares()[examples.inputs["timestep"]].reshape(-1, 1, 1, 1)
    image, velocity = examples.inputs["image"], examples.targets["target"]
    clean = np.sqrt(share_N111) * image - np.sqrt(1 - share_N111) * velocity
    noise = np.sqrt(1 - share_N111) * image + np.sqrt(share_N111) * velocity
    expected = digits.digits("test")[split].image.reshape(-1, 8, 8, 1)
    np.testing.assert_allclose(clean, np.tile(expected, (digits.COPIES[split], 1, 1, 1)), atol=1e-5)
    assert abs(noise.mean()) < 0.01
    assert abs(noise.std() - 1) < 0.01
    assert all(np.array_equal(array, again.inputs[name]) for name, array in examples.inputs.items())
    assert image.dtype == velocity.dtype == np.float32
    assert sum(array.nbytes for array in [*examples.inputs.values(), velocity]) < 100e6


def test_a_tenth_of_the_labels_is_hidden_and_none_that_is_scored() -> None:
    data = conditional_generation.TASK.data
    hidden = data({}, "train", "small").inputs["label"] == digits.NO_CLASS
    assert abs(hidden.mean() - 0.1) < 0.01
    assert not (data({}, "eval", "small").inputs["label"] == digits.NO_CLASS).any()
    assert "label" not in image_generation.TASK.data({}, "train", "small").inputs


def test_draws_begin_in_noise_and_fill_whole_batches(task: Task) -> None:
    for preset, shape in (("small", (8, 8, 1)), ("base", (64, 64, 3))):
        examples = draws(task, preset)
        noise = examples.inputs["noise"]
        assert noise.shape[1:] == shape
        assert noise.dtype == np.float32
        assert len(noise) % task.generate_batch_size == 0
        assert np.array_equal(noise, draws(task, preset).inputs["noise"])
    labels = draws(conditional_generation.TASK, "small").targets["label"]
    assert np.bincount(labels).tolist() == [32] * 10


def test_large_digits_are_the_small_ones_and_scored_as_such(task: Task) -> None:
    assert task.data({}, "eval", "base").inputs["image"].shape == (16, 64, 64, 3)
    held = digits.digits("test")["eval"].image[:16]
    large = held.reshape(-1, 8, 8, 1).repeat(8, 1).repeat(8, 2).repeat(3, 3)
    np.testing.assert_allclose(digits.pixels(large), held, atol=1e-6)


def test_a_perfect_prediction_scores_zero_and_nothing_near_one(task: Task) -> None:
    target = task.data({}, "eval", "small").targets["target"]
    assert task.score({"target": target, "prediction": target}) == {"mse": 0}
    assert task.score({"target": target, "prediction": np.zeros_like(target)})["mse"] == pytest.approx(0.95, abs=0.15)


def test_the_distance_is_of_gaussians() -> None:
    """Of two that are independent in each component it is known: (m - n)^2 + (s - t)^2, summed."""
    rng = np.random.default_rng(0)
    one, other = rng.normal(1, 2, (200_000, 3)), rng.normal(0, 1, (200_000, 3))
    assert digits.frechet_distance(one, other) == pytest.approx(3 * (1 + 1), rel=0.02)
    assert digits.frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert digits.frechet_distance(one @ turn, other @ turn) == pytest.approx(digits.frechet_distance(one, other))


def test_training_digits_are_what_a_perfect_sampler_draws(task: Task, known: digits.Digits) -> None:
    chosen = np.random.default_rng(0).permutation(len(known.label))[:512]  # the file goes by writers
    found = figures(task, known.image[chosen], known.label[chosen])
    assert found["frechet"] < 0.16
    assert found["precision"] > 0.9
    assert found.get("agreement", 1.0) > 0.98


def test_the_baselines_are_as_they_say(known: digits.Digits) -> None:
    rng = np.random.default_rng(0)
    gaussian = rng.multivariate_normal(known.image.mean(0), np.cov(known.image.T), 512).clip(-1, 1)
    found = figures(image_generation.TASK, gaussian, np.zeros(512))
    assert found["frechet"] == pytest.approx(image_generation.TASK.baseline.value, abs=0.03)
    assert found["precision"] < 0.6
    shuffled = figures(conditional_generation.TASK, rng.permutation(known.image)[:320], np.arange(320) % 10)
    assert shuffled["agreement"] == pytest.approx(conditional_generation.TASK.baseline.value, abs=0.06)
