"""Figures of merit, in numpy and float64, so that a score needs no framework and is the same on every backend.

Each is checked in tests/core/test_metrics.py against a library that is known for it. Shapes: N rows, C classes,
Q queries, D documents, M ensemble members, H horizon, V vocabulary.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

Array = np.ndarray


def accuracy(label_N: Array, predicted_N: Array) -> float:
    """Share of rows that are right."""
    return float(np.mean(np.asarray(label_N) == np.asarray(predicted_N)))


def f1(label_N: Array, predicted_N: Array, average: Literal["binary", "macro"] = "binary") -> float:
    """Harmonic mean of precision and recall of class 1, or its mean over the classes that occur. 0 where undefined."""
    label_N, predicted_N = np.asarray(label_N), np.asarray(predicted_N)
    classes = [1] if average == "binary" else np.union1d(label_N, predicted_N)
    return float(np.mean([_f1_of(label_N == each, predicted_N == each) for each in classes]))


def _f1_of(is_N: Array, said_N: Array) -> float:
    total = int(is_N.sum() + said_N.sum())
    return 2.0 * int((is_N & said_N).sum()) / total if total else 0.0


def rmse(target_N: Array, predicted_N: Array) -> float:
    """Root of the mean squared error, in the target's unit."""
    return float(np.sqrt(np.mean(np.square(_wide(target_N) - _wide(predicted_N)))))


def mae(target_N: Array, predicted_N: Array) -> float:
    """Mean absolute error, in the target's unit."""
    return float(np.mean(np.abs(_wide(target_N) - _wide(predicted_N))))


def r2(target_N: Array, predicted_N: Array) -> float:
    """Share of the variance explained: 1 is perfect, 0 is the mean. A constant target gives 1 if met, else 0."""
    target_N, predicted_N = _wide(target_N), _wide(predicted_N)
    residual = float(np.sum(np.square(target_N - predicted_N)))
    total = float(np.sum(np.square(target_N - target_N.mean())))
    if total == 0.0:
        return float(residual == 0.0)
    return 1.0 - residual / total


def bits_per_byte(nll_nats: Array, bytes_: Array) -> float:
    """Information per byte of the text that was predicted: comparable between tokenisers."""
    return float(_wide(nll_nats).sum() / math.log(2) / _wide(bytes_).sum())


def perplexity(nll_nats: Array) -> float:
    """exp of the mean negative log likelihood of a token."""
    return math.exp(float(_wide(nll_nats).mean()))


def recall_at_k(relevance_QD: Array, score_QD: Array, k: int) -> float:
    """Mean share of a query's relevant documents that are among its k best. Queries without any do not count."""
    relevant_QD = np.asarray(relevance_QD) > 0
    found_Q = np.take_along_axis(relevant_QD, _best(score_QD, k), axis=1).sum(axis=1)
    total_Q = relevant_QD.sum(axis=1)
    return float(np.mean(found_Q[total_Q > 0] / total_Q[total_Q > 0]))


def ndcg_at_k(relevance_QD: Array, score_QD: Array, k: int) -> float:
    """Normalised discounted cumulative gain, linear gain, log2 discount. A query without relevant documents gives 0.

    Equal scores are ordered by position, so that a score is a function of its input.
    """
    relevance_QD = _wide(relevance_QD)
    gain_Q = _dcg(np.take_along_axis(relevance_QD, _best(score_QD, k), axis=1))
    ideal_Q = _dcg(-np.sort(-relevance_QD, axis=1)[:, :k])
    return float(np.mean(np.divide(gain_Q, ideal_Q, out=np.zeros_like(gain_Q), where=ideal_Q > 0)))


def _best(score_QD: Array, k: int) -> Array:
    return np.argsort(-_wide(score_QD), axis=1, kind="stable")[:, :k]


def _dcg(gain_QK: Array) -> Array:
    return gain_QK @ (1.0 / np.log2(np.arange(2, gain_QK.shape[1] + 2)))


def mase(target_H: Array, predicted_H: Array, history_T: Array, season: int = 1) -> float:
    """Mean absolute error in units of the seasonal naive forecast's on the history (Hyndman & Koehler 2006)."""
    history_T = _wide(history_T)
    return mae(target_H, predicted_H) / float(np.mean(np.abs(history_T[season:] - history_T[:-season])))


def crps_ensemble(target_N: Array, member_NM: Array) -> float:
    """Continuous ranked probability score of an ensemble: E|X - y| - E|X - X'| / 2, mean over rows."""
    target_N, member_NM = _wide(target_N), np.sort(_wide(member_NM), axis=1)
    count = member_NM.shape[1]
    error_N = np.abs(member_NM - target_N[:, None]).mean(axis=1)
    spread_N = member_NM @ (2.0 * np.arange(count) - count + 1) / count**2
    return float(np.mean(error_N - spread_N))


def crps_gaussian(target_N: Array, mean_N: Array, deviation_N: Array) -> float:
    """Continuous ranked probability score of normal forecasts in closed form (Gneiting et al. 2005), mean over rows."""
    deviation_N = _wide(deviation_N)
    z_N = (_wide(target_N) - _wide(mean_N)) / deviation_N
    below_N = 0.5 * (1.0 + np.array([math.erf(z) for z in z_N / math.sqrt(2)]))
    density_N = np.exp(-0.5 * np.square(z_N)) / math.sqrt(2 * math.pi)
    return float(np.mean(deviation_N * (z_N * (2 * below_N - 1) + 2 * density_N - 1 / math.sqrt(math.pi))))


def _wide(array: Array) -> Array:
    return np.asarray(array, dtype=np.float64)
