"""OpenMoji, and the two tasks that take a pictogram and its name."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from weighbridge.bench.core import Examples, Files, Split, WeighbridgeError, arrays_hash
from weighbridge.bench.storage import packages
from weighbridge.tasks import _minilm
from weighbridge.tasks import _openmoji as openmoji
from weighbridge.tasks import multimodal_classification as classification
from weighbridge.tasks import multimodal_embedding as embedding

pytest.importorskip("PIL")


@cache
def files() -> Files:
    return packages.files(openmoji.PACKAGES)


@cache
def rows(task: str, split: Split = "eval", preset: str = "small") -> Examples:
    source = {"classification": classification, "embedding": embedding}[task]
    return source.TASK.data(files(), split, preset)


def test_pictograms_are_counted_as_the_docstrings_say() -> None:
    found = openmoji.pictograms(files())
    assert len(found) == len({each.name for each in found}) == len({each.character for each in found}) == 1377
    counts = Counter(each.category for each in found)
    assert sorted(counts) == classification.CATEGORIES
    assert (max(counts.values()), counts["Objects"], min(counts.values()), counts["Flags"]) == (261, 261, 5, 5)


@cache
def drawn(split: Split) -> np.ndarray:
    """(N, 48, 48, 3) as they are, neither moved nor mirrored."""
    return openmoji.images(files(), openmoji.chosen(openmoji.pictograms(files()), split, small=True), 48)


def test_the_first_is_the_copyright_sign() -> None:
    first = openmoji.pictograms(files())[0]
    assert first == ("\u00a9", "copyright sign", "Symbols")
    assert rows("classification", "train").targets["label"][0] == 7
    image_HWC = drawn("train")[0] * openmoji.DEVIATION + openmoji.MEAN
    assert image_HWC[0, 0] == pytest.approx([1, 1, 1], abs=1e-6), "white in the corner"
    assert image_HWC.min() == pytest.approx(0, abs=1e-6)
    assert np.ptp(image_HWC, axis=2).max() == pytest.approx(0, abs=1e-6), "black and white"


def test_splits_are_whole_and_apart() -> None:
    held, train = drawn("eval"), drawn("train")
    assert (len(held), len(train)) == (275, 1102)
    np.testing.assert_array_equal(rows("classification").inputs["image"], held)
    mirrored = {row.tobytes() for row in np.concatenate([train, train[:, :, ::-1]])}
    assert not mirrored & {row.tobytes() for row in held}


def test_every_one_is_drawn_whole_in_its_colours() -> None:
    image = np.concatenate([drawn("train"), drawn("eval")])
    assert image.shape == (1377, 48, 48, 3)
    assert len({row.tobytes() for row in image}) == 1377, "no two are the sign of a missing glyph"
    assert (np.ptp(image, axis=3).max(axis=(1, 2)) > 0.3).sum() > 1000
    assert abs(drawn("train").mean()) < 0.02
    assert drawn("train").std() == pytest.approx(1, abs=0.02)


def test_names_are_cut_as_the_docstrings_say() -> None:
    tokenizer = _minilm.tokenizer(files())
    tokenizer.no_padding()
    lengths = [len(tokenizer.encode(each.name).ids) for each in openmoji.pictograms(files())]
    assert sum(length > classification.LENGTH for length in lengths) == 23
    assert sum(length > embedding.LENGTH for length in lengths) == 1


@pytest.mark.parametrize(("task", "split"), [("classification", "train"), ("embedding", "eval")])
def test_the_same_call_gives_the_same_bytes(task: str, split: Split) -> None:
    source = {"classification": classification, "embedding": embedding}[task]
    again, first = source.TASK.data(files(), split, "small"), rows(task, split)
    assert arrays_hash(again.inputs) == arrays_hash(first.inputs)
    assert arrays_hash(again.targets) == arrays_hash(first.targets)


@pytest.mark.parametrize("task", ["classification", "embedding"])
def test_large_ones_are_few(task: str) -> None:
    held = rows(task, "eval", "base")
    assert held.inputs["image"].shape == (32, 224, 224, 3)
    assert held.inputs["image"].dtype == np.float32
    assert len(held.inputs["input_ids"]) == 32


def test_copies_are_the_same_pictograms_moved_or_mirrored() -> None:
    train, labelled = rows("embedding", "train"), rows("classification", "train")
    assert (len(train), len(labelled)) == (embedding.COPIES * 1102, classification.COPIES * 1102)
    np.testing.assert_array_equal(train.targets["pair"], np.tile(np.arange(1102), embedding.COPIES))
    np.testing.assert_array_equal(train.inputs["input_ids"][1102:2204], train.inputs["input_ids"][:1102])
    np.testing.assert_array_equal(labelled.targets["label"][1102:], labelled.targets["label"][:1102])
    assert len({row.tobytes() for row in train.inputs["image"][::1102]}) > 1
    for index, image_HWC in enumerate(openmoji.varied(drawn("train")[:9], 3, 0)):
        original_HWC = drawn("train")[index % 9]
        assert (image_HWC == original_HWC).all() or (image_HWC == original_HWC[:, ::-1]).all()


def test_perfect_embeddings_find_all_and_shuffled_ones_what_chance_does() -> None:
    pair_N, basis = rows("embedding").targets["pair"], np.eye(275, dtype=np.float32)
    assert embedding.score({"image": basis, "text": basis, "pair": pair_N})["recall_at_10"] == 1
    rng = np.random.default_rng(0)
    image, text = rng.normal(size=(2, 275, 64)).astype(np.float32)
    found = embedding.score({"image": image, "text": text, "pair": pair_N})
    assert found["recall_at_10"] == pytest.approx(10 / 275, abs=0.02)
    halves = found["image_to_text_recall_at_10"], found["text_to_image_recall_at_10"]
    assert found["recall_at_10"] == pytest.approx(sum(halves) / 2)


def test_directions_are_what_they_are_called() -> None:
    """Ten images that are near to every name: each still finds its own, and ten names find those ten alone."""
    pair_N = np.arange(20)
    text = np.eye(20, dtype=np.float32)
    image = np.eye(20, dtype=np.float32)
    image[:10] += 9 * np.ones((10, 20), np.float32)
    found = embedding.score({"image": image, "text": text, "pair": pair_N})
    assert found["image_to_text_recall_at_10"] == 1
    assert found["text_to_image_recall_at_10"] == 0.5


def test_right_labels_score_one_and_the_largest_category_its_share() -> None:
    label_N = rows("classification").targets["label"]
    basis = np.eye(9, dtype=np.float32)
    assert classification.score({"logits": basis[label_N], "label": label_N}) == {"accuracy": 1, "f1_macro": 1}
    objects = np.full_like(label_N, classification.CATEGORIES.index("Objects"))
    found = classification.score({"logits": basis[objects], "label": label_N})
    assert found["accuracy"] == pytest.approx(49 / 275)


def test_without_pillow_one_line_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(WeighbridgeError, match="pip install pillow"):
        openmoji.images(files(), openmoji.pictograms(files())[:1], 32)
