"""Every twin computes what its PyTorch module computes, as nearly as PyTorch's own float32 does."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from weighbridge.backends.flax_nnx import models
from weighbridge.backends.torch_nn import models as torch_models
from weighbridge.bench.core import WeighbridgeError

pytestmark = pytest.mark.usefixtures("strict_jax")


def test_twin_keeps_parity(case: Any) -> None:
    verdict = case.judge()
    assert verdict.passed, f"{verdict.output}: {verdict.ratio:.2f} times PyTorch's error"


def test_the_case_is_not_vacuous(case: Any) -> None:
    """Outputs differ between examples: neither zeros nor a constant pass for a result. A temperature is one number."""
    several = [array for array in case.oracle.values() if array.ndim > 1]
    for array in several or case.oracle.values():
        assert array.std(axis=0).mean() > 1e-3 * abs(array).mean()


@pytest.mark.parametrize("name", ["mlp", "resnet10t", "vit", "bert"])
def test_bfloat16_is_near_and_finite(name: str, cases: dict[str, Any]) -> None:
    case = cases[name]
    for name, out in case.outputs("bf16").items():
        error = np.sqrt(np.mean(np.square(out - case.oracle[name])))
        assert error < 0.05 * np.sqrt(np.mean(np.square(case.oracle[name])))


def test_reference_is_one_graph(case: Any) -> None:
    module = torch_models.build(case.model)
    torch_models.load_state(module, case.weights)
    inputs = {name: torch.from_numpy(array) for name, array in case.inputs.items()}
    torch.compiler.reset()  # all cases of an architecture compile one function, and their number is limited
    whole = torch.compile(torch_models.forward(case.model), backend="eager", fullgraph=True)
    with torch.inference_mode():
        out = whole(module, inputs)
    for name, array in case.reference.items():
        np.testing.assert_allclose(out[name].numpy(), array, rtol=1e-4, atol=1e-5)


def test_unknown_architecture_is_told_the_nearest() -> None:
    with pytest.raises(WeighbridgeError, match="did you mean resnet"):
        models.load("resnett")


def test_unknown_name_is_told_the_nearest() -> None:
    with pytest.raises(WeighbridgeError, match="did you mean resnet10t"):
        models.load("resnet").build({"name": "resnet10"}, None)


def test_argument_that_no_twin_honours_is_refused() -> None:
    with pytest.raises(WeighbridgeError, match="has no block_args"):
        models.load("resnet").build({"name": "resnet18", "block_args": {}}, None)
