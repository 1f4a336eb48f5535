"""What the two towers do not do is refused, and an empty history says nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backends.flax_nnx.models import two_towers
from backends.flax_nnx.twin import built, streams
from backends.torch_nn import models as torch_models
from bench.core import ModelSpec, Seeded, WeighbridgeError
from tests.parity.case import Case

SMALL: dict[str, Any] = {"ids": 9, "width": 4}


@pytest.mark.parametrize("change", [{"features": 3}, {"activation": "mish"}, {"dropout": 0.1}])
def test_what_the_twin_does_not_do_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WeighbridgeError, match=next(iter(change))) as refusal:
        built(lambda: two_towers.build({**SMALL, **change}, streams(0)))
    assert "\n" not in str(refusal.value)


def test_features_without_a_hidden_layer_are_refused_by_the_reference_too() -> None:
    with pytest.raises(WeighbridgeError, match="features"):
        torch_models.build(
            ModelSpec(architecture="two_towers", config={**SMALL, "features": 3}, weights=Seeded(seed=0))
        )


def test_an_empty_history_says_nothing_and_a_row_says_itself(cases: dict[str, Case]) -> None:
    case = cases["two-towers-rows-alone"]
    assert not case.inputs["history"][0].any()
    assert not case.outputs()["query"][0].any()
    lengths = np.linalg.norm(case.outputs()["item"], axis=-1)
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-6)
