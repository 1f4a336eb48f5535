"""Whether a backend still computes the same thing, judged against a float64 oracle.

The rule is torch._dynamo's `same` (measuring rule 19): RMSE(out, f64) <= k * RMSE(reference, f64) + floor.
The reference's own rounding error is the yardstick, so that no tolerance is chosen by hand: k is 2 for
float32, 3 for half types, and the floor is 1e-7 of the oracle's own scale.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from weighbridge.bench.core.arrays import Arrays
from weighbridge.bench.core.cell import Precision
from weighbridge.bench.core.record import Parity

TOLERANCE: dict[Precision, float] = {"fp64": 1e-9, "fp32": 1e-4, "tf32": 1e-2, "bf16": 5e-2, "fp16": 1e-2, "int8": 5e-2}
"""Root mean square of the difference, relative to that of the output. Of fp32 a hundred times what batching changes on
the suite's models (docs/scenarios.md), and a hundredth of what tanh for erf changes in a GELU."""


def error(found: Arrays, expected: Arrays) -> float:
    """The largest of all outputs: RMS of the difference by RMS of what is expected; infinity where shapes differ."""
    if found.keys() != expected.keys() or any(found[name].shape != expected[name].shape for name in found):
        return float("inf")
    return worst(_error(found[name], expected[name]) for name in found)


def worst(errors: Iterable[float]) -> float:
    """The largest; infinity where there is none or one is no number, which `max` passes over unless it comes first."""
    known = list(errors)
    return max(known) if known and not any(map(math.isnan, known)) else math.inf


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    found, expected = found.astype(np.float64), expected.astype(np.float64)
    scale = float(np.sqrt(np.mean(expected**2))) or 1.0
    return float(np.sqrt(np.mean((found - expected) ** 2))) / scale


FLOOR = 1e-7
LIMITS: dict[Precision, float] = {"fp64": 2.0, "fp32": 2.0, "tf32": 3.0, "bf16": 3.0, "fp16": 3.0, "int8": 3.0}
EXACT_DECISIONS: frozenset[Precision] = frozenset({"fp64", "fp32"})
"""Precisions at which argmax and tokens must be identical: half types move near-ties in every backend alike."""


def rmse(a: NDArray[np.generic], b: NDArray[np.generic]) -> float:
    """Root of the mean squared difference, in float64; infinite where a value is not finite."""
    difference = np.asarray(a, np.float64) - np.asarray(b, np.float64)
    mean_square = float(np.mean(np.square(difference))) if difference.size else 0.0
    return float(np.sqrt(mean_square)) if np.isfinite(mean_square) else float("inf")


def error_ratio(
    out: NDArray[np.generic], reference: NDArray[np.generic], oracle: NDArray[np.generic], limit: float
) -> float:
    """RMSE(out) in units of the reference's; the rule holds where this is at most `limit`.

    The floor is folded into the unit, so that one number says it all: out <= k*ref + floor is
    out / (ref + floor/k) <= k.
    """
    scale = float(np.sqrt(np.mean(np.square(np.asarray(oracle, np.float64))))) if oracle.size else 0.0
    unit = rmse(reference, oracle) + FLOOR * scale / limit
    error = rmse(out, oracle)
    return 0.0 if error == 0 else error / unit if unit > 0 else float("inf")


def decisions_equal(out: NDArray[np.generic], reference: NDArray[np.generic]) -> float:
    """Share of equal argmaxes on the last axis (floats), or of equal values (integers: tokens)."""
    if out.shape != reference.shape:
        return 0.0
    if np.issubdtype(reference.dtype, np.floating):
        out, reference = out.argmax(-1), reference.argmax(-1)
    return float(np.mean(out == reference))


def judge(outputs: Arrays, reference: Arrays, oracle: Arrays, decision: str, precision: Precision) -> Parity:
    """The verdict over all outputs of a batch. Integer outputs are decisions; `decision` names one more.

    An output that is missing, has another shape, or is not finite fails with an infinite ratio.
    """
    limit = LIMITS[precision]
    floats = [name for name, array in oracle.items() if np.issubdtype(array.dtype, np.floating)]
    decided = [name for name in oracle if name not in floats] + ([decision] if decision else [])
    ratios = {name: _ratio(outputs.get(name), reference[name], oracle[name], limit) for name in floats}
    shares = [decisions_equal(outputs[name], reference[name]) if name in outputs else 0.0 for name in decided]
    worst = max(ratios, key=lambda name: ratios[name], default="")
    ratio = ratios.get(worst, 0.0)
    same = min(shares) if shares else None
    exact = same is None or same == 1.0 or precision not in EXACT_DECISIONS
    finite = ratio if np.isfinite(ratio) else None
    return Parity(
        ratio=finite,
        limit=limit,
        passed=ratio <= limit and exact,
        decisions_equal=same,
        output=worst,
        difference=farthest(outputs[worst], reference[worst]) if worst and finite is not None else None,
        scale=_plain(rmse(oracle[worst], np.zeros(()))) if worst else None,
    )


def farthest(out: NDArray[np.generic], reference: NDArray[np.generic]) -> float | None:
    """The largest distance of a number from the reference's; None where one is not finite."""
    if not out.size:
        return None
    return _plain(float(np.max(np.abs(np.asarray(out, np.float64) - np.asarray(reference, np.float64)))))


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None


def one_text(own: Arrays, followed: Arrays, tokens: NDArray[np.generic]) -> Arrays:
    """A free generation's outputs for as long as its text is the oracle's, then those that followed `tokens` (B, N).

    So what was timed is what is judged, until a near-tie parts it from the oracle; logits of different texts are
    never compared.
    """
    names = ("tokens", "logit")
    if any(name not in given or given[name].shape != tokens.shape for given in (own, followed) for name in names):
        return own
    same = np.cumprod(own["tokens"] == tokens, axis=1).astype(bool)
    read_the_same = np.pad(same[:, :-1], ((0, 0), (1, 0)), constant_values=True)
    return {
        "tokens": np.where(read_the_same, own["tokens"], followed["tokens"]),
        "logit": np.where(same, own["logit"], followed["logit"]),
    }


def _ratio(
    out: NDArray[np.generic] | None, reference: NDArray[np.generic], oracle: NDArray[np.generic], limit: float
) -> float:
    if out is None or out.shape != oracle.shape:
        return float("inf")
    return error_ratio(out, reference, oracle, limit)
