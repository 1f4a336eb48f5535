"""Every figure of merit against a library that is known for it, or against its definition, on random input."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as known

from weighbridge.bench.core import metrics

seeds = st.integers(0, 2**32 - 1)
quickly = settings(max_examples=40, deadline=None)


@given(seeds, st.integers(1, 60), st.integers(2, 5))
@quickly
def test_accuracy_and_f1_are_scikit_learns(seed: int, rows: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    label, predicted = rng.integers(0, classes, (2, rows))
    assert metrics.accuracy(label, predicted) == pytest.approx(known.accuracy_score(label, predicted))
    macro = known.f1_score(label, predicted, average="macro", zero_division=0)
    assert metrics.f1(label, predicted, "macro") == pytest.approx(macro)
    ham, spam = label > 0, predicted > 0
    assert metrics.f1(ham, spam) == pytest.approx(known.f1_score(ham, spam, zero_division=0))


@given(seeds, st.integers(2, 60))
@quickly
def test_regression_figures_are_scikit_learns(seed: int, rows: int) -> None:
    target, predicted = np.random.default_rng(seed).normal(3, 2, (2, rows)).astype(np.float32)
    wide = target.astype(np.float64), predicted.astype(np.float64)
    assert metrics.rmse(target, predicted) == pytest.approx(known.root_mean_squared_error(*wide))
    assert metrics.mae(target, predicted) == pytest.approx(known.mean_absolute_error(*wide))
    assert metrics.r2(target, predicted) == pytest.approx(known.r2_score(*wide))


def test_r2_of_a_constant_target_is_scikit_learns() -> None:
    ones = np.ones(4)
    assert metrics.r2(ones, ones) == known.r2_score(ones, ones) == 1.0
    assert metrics.r2(ones, 0 * ones) == known.r2_score(ones, 0 * ones) == 0.0


@given(seeds, st.integers(1, 8), st.integers(2, 30), st.integers(1, 12))
@quickly
def test_ndcg_is_scikit_learns(seed: int, queries: int, documents: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    relevance = rng.integers(0, 4, (queries, documents))
    score = rng.permuted(np.tile(np.arange(documents, dtype=float), (queries, 1)), axis=1)
    expected = known.ndcg_score(relevance, score, k=k, ignore_ties=True)
    assert metrics.ndcg_at_k(relevance, score, k) == pytest.approx(expected)


@given(seeds, st.integers(1, 8), st.integers(2, 30), st.integers(1, 12))
@quickly
def test_recall_with_one_answer_is_scikit_learns_top_k(seed: int, queries: int, documents: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    answer = rng.integers(0, documents, queries)
    score = rng.permuted(np.tile(np.arange(documents, dtype=float), (queries, 1)), axis=1)
    expected = np.mean([answer[row] in np.argsort(-score[row])[:k] for row in range(queries)])
    assert metrics.recall_at_k(np.eye(documents)[answer], score, k) == pytest.approx(expected)


def test_recall_counts_every_answer_and_no_query_without_one() -> None:
    relevance = np.array([[1, 1, 0, 0], [0, 0, 0, 0]])
    assert metrics.recall_at_k(relevance, np.array([[3.0, 1, 2, 0], [1, 2, 3, 4]]), 2) == 0.5


@given(seeds, st.integers(2, 40))
@quickly
def test_perplexity_is_exp_of_log_loss(seed: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    share, label = rng.dirichlet(np.ones(5), rows), rng.integers(0, 5, rows)
    nll = -np.log(share[np.arange(rows), label])
    expected = known.log_loss(label, share, labels=np.arange(5))
    assert metrics.perplexity(nll) == pytest.approx(math.exp(expected))
    assert metrics.bits_per_byte(nll, np.full(rows, 2)) == pytest.approx(expected / math.log(2) / 2)


def test_mase_of_the_seasonal_naive_forecast_is_one() -> None:
    series = np.random.default_rng(0).normal(size=48).cumsum()
    assert metrics.mase(series[12:], series[:-12], series, season=12) == pytest.approx(1.0)


@given(seeds, st.integers(1, 9))
@quickly
def test_crps_of_an_ensemble_is_its_definition(seed: int, members: int) -> None:
    rng = np.random.default_rng(seed)
    target, ensemble = rng.normal(size=5), rng.normal(size=(5, members))
    spread = np.abs(ensemble[:, :, None] - ensemble[:, None, :]).mean(axis=(1, 2))
    expected = (np.abs(ensemble - target[:, None]).mean(axis=1) - spread / 2).mean()
    assert metrics.crps_ensemble(target, ensemble) == pytest.approx(expected)


def test_crps_of_a_normal_forecast_is_that_of_a_large_ensemble() -> None:
    mean, deviation, target = np.array([0.0, 2.0]), np.array([1.0, 0.5]), np.array([0.3, 1.0])
    ensemble = mean[:, None] + deviation[:, None] * np.random.default_rng(0).normal(size=(2, 200_000))
    expected = metrics.crps_ensemble(target, ensemble)
    assert metrics.crps_gaussian(target, mean, deviation) == pytest.approx(expected, rel=0.01)
