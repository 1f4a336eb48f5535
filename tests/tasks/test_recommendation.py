"""Recommendation: the core of the links is as the docstring says, nothing held out is trained on, and the score."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from weighbridge.bench.core import Arrays, Examples, Files, Split, arrays_hash, metrics
from weighbridge.bench.storage import packages
from weighbridge.tasks import recommendation
from weighbridge.tasks.recommendation import NOBODY, PADDING, Casts


@cache
def files() -> Files:
    return packages.files(recommendation.TASK.packages)


@cache
def casts() -> Casts:
    return recommendation.read(files()[recommendation.PACKAGE] / recommendation.DATABASE)


@cache
def examples(split: Split) -> Examples:
    return recommendation.data(files(), split, "small")


def listed(row: np.ndarray, empty: int) -> set[int]:
    return set(row[row != empty].tolist())


def test_the_core_is_as_the_docstring_says() -> None:
    found = casts()
    assert (len(found.film_N), len(found.titles), len(found.names)) == (110_967, 9726, 9106)
    assert found.held_N.sum() == 22_193
    for ids_N in (found.film_N, found.person_N):
        assert np.bincount(ids_N).min() == recommendation.CORE
    assert np.bincount(found.film_N[~found.held_N], minlength=9726).min() > 0
    assert not {"Jr.", "Sr.", "III", ""} & set(found.names)
    assert {"RZA", "Eve", "DMX", "Mýa"} <= set(found.names)


def test_the_worked_example() -> None:
    found, rows = casts(), examples("eval")
    film = found.titles.index("Clerks")
    known, held = (
        {found.names[person - 1] for person in listed(rows.targets[name][film], NOBODY)}
        for name in ("known", "held_out")
    )
    assert known == {"Brian O'Halloran", "Jason Mewes", "Kevin Smith", "Scott Mosier"}
    assert held == {"Jeff Anderson"}
    assert {found.names[person - 1] for person in listed(rows.inputs["history"][film], PADDING)} == known


def test_nothing_held_out_is_trained_on() -> None:
    found, rows, train = casts(), examples("eval"), examples("train")
    for known, held in zip(rows.targets["known"], rows.targets["held_out"], strict=True):
        assert not listed(known, NOBODY) & listed(held, NOBODY)
    counts = np.bincount(found.film_N[~found.held_N])
    films = np.repeat(np.arange(len(counts)), np.where(counts > 1, counts, 0))
    assert len(train) == len(films) == 88_766
    for row in range(0, len(train), 31):
        known = listed(rows.targets["known"][films[row]], NOBODY)
        positive, history = int(train.inputs["item"][row]), listed(train.inputs["history"][row], PADDING)
        assert history | {positive} <= known
        assert positive not in history
        assert len(history) == min(len(known) - 1, recommendation.LENGTH)


def test_the_same_call_returns_the_same_bytes() -> None:
    first = examples("train")
    recommendation.read.cache_clear()
    again = recommendation.data(files(), "train", "small")
    assert arrays_hash(again.inputs | again.targets) == arrays_hash(first.inputs | first.targets)


def test_all_films_and_all_people_are_met() -> None:
    rows = examples("eval")
    assert len(rows) == 9726
    assert set(rows.inputs["item"].tolist()) == set(range(1, 9107))
    assert (rows.inputs["history"] != PADDING).any(axis=1).all()


def test_a_large_table_is_used_to_its_end() -> None:
    found = recommendation.data(files(), "eval", "base")
    assert len(found) == recommendation.LARGE_ROWS
    assert recommendation.LARGE_IDS > found.inputs["history"].max() > 0.9 * recommendation.LARGE_IDS
    small = examples("eval").inputs["history"][: len(found)]
    assert ((found.inputs["history"] == PADDING) == (small == PADDING)).all()


FILMS, PEOPLE = 40, 70


def lists(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(F, P) booleans: who is known, and who is held out. One film holds nobody out."""
    draw = np.random.default_rng(seed).random((FILMS, PEOPLE))
    known, held = draw < 0.1, draw > 0.95
    held[3] = False
    return known, held


def rows_of(known: np.ndarray, held: np.ndarray, score_FP: np.ndarray) -> Arrays:
    """As a model says it whose item vectors are one-hot."""
    count = max(FILMS, PEOPLE)
    query = np.zeros((count, PEOPLE), np.float32)
    query[:FILMS] = score_FP
    person = np.arange(count) % PEOPLE

    def padded(marked_FP: np.ndarray) -> np.ndarray:
        filled = np.full((count, marked_FP.sum(axis=1).max()), NOBODY)
        for film, marked_P in enumerate(marked_FP):
            people = np.flatnonzero(marked_P) + 1
            filled[film, : len(people)] = people
        return filled

    item = np.eye(PEOPLE, dtype=np.float32)[person]
    return {"query": query, "item": item, "item_id": person + 1, "known": padded(known), "held_out": padded(held)}


def test_the_score_is_recall_among_the_unknown() -> None:
    known, held = lists(1)
    score_FP = np.random.default_rng(2).normal(size=known.shape).astype(np.float32)
    found = recommendation.score(rows_of(known, held, score_FP))
    masked = np.where(known, -np.inf, score_FP)
    assert found["recall_at_10"] == pytest.approx(metrics.recall_at_k(held, masked, 10))
    assert found["hit_rate_at_10"] >= found["recall_at_10"]


def test_the_best_and_the_worst() -> None:
    known, held = lists(3)
    assert held.sum(axis=1).max() <= 10
    loud = held + 2.0 * known
    assert recommendation.score(rows_of(known, held, loud)) == {"recall_at_10": 1.0, "hit_rate_at_10": 1.0}
    for nothing in (-loud, np.zeros(known.shape), np.full(known.shape, np.nan)):
        assert recommendation.score(rows_of(known, held, nothing))["recall_at_10"] == 0.0


def test_popularity_alone_scores_as_the_docstring_says() -> None:
    rows, found = examples("eval"), casts()
    often = np.bincount(found.person_N[~found.held_N], minlength=len(found.names)).astype(np.float32)
    outputs = {"query": np.ones((len(rows), 1), np.float32), "item": often[rows.inputs["item"] - 1][:, None]}
    assert recommendation.score({**outputs, **rows.targets})["recall_at_10"] == pytest.approx(0.0051, abs=1e-4)
