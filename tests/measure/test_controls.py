"""Mistakes made on purpose are killed, survive, or prove nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from weighbridge.backends.fake import FakeSession
from weighbridge.bench.core.arrays import Arrays
from weighbridge.bench.core.backend import Session
from weighbridge.bench.measure.controls import controls

RNG = np.random.default_rng(0)
WEIGHTS = {
    "layers.0.weight": RNG.normal(size=(5, 3)).astype(np.float32),
    "layers.0.bias": np.zeros(5, np.float32),
    "head.weight": RNG.normal(size=(1, 5)).astype(np.float32),
    "head.bias": np.full(1, 0.3, np.float32),
}
FEATURES = RNG.normal(size=(8, 3)).astype(np.float32)


class WithoutMutants(FakeSession):
    def mutants(self) -> dict[str, Callable[[], Session]]:
        return {}


def near(own: Arrays) -> Callable[[list[Arrays]], bool]:
    return lambda outputs: bool(np.allclose(outputs[0]["prediction"], own["prediction"], atol=1e-5))


def test_each_mutant_is_killed_or_survives_or_proves_nothing() -> None:
    session = FakeSession(WEIGHTS, {"hidden": [5]}, "")
    x = session.to_device({"features": FEATURES})
    found = controls(session, [x], near(session.to_host(session.step(x))))
    assert found is not None
    assert found.killed == ["bias of the head lost"]
    assert found.survived == ["last bits"]
    assert found.idle == ["nothing"]
    assert list(found.unmade) == ["head of another width"]
    assert found.unmade["head of another width"].startswith("ValueError: matmul")


def test_a_backend_without_mutants_has_no_controls() -> None:
    assert controls(WithoutMutants(WEIGHTS, {"hidden": [5]}, ""), [], lambda outputs: True) is None
