"""The PatchTST twin refuses what it does not do, and what it cannot be proven against."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
import pytest
import torch
from flax import nnx

from tests.parity.case import Case
from tests.parity.cases.patchtst import APART, SMALL
from weighbridge.backends.flax_nnx import models
from weighbridge.backends.torch_nn.architectures import patchtst as reference
from weighbridge.bench.core import WeighbridgeError

pytestmark = pytest.mark.usefixtures("strict_jax")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("loss", "nll"),
        ("do_mask_input", True),
        ("share_projection", False),
        ("norm_type", "rmsnorm"),
        ("pooling_type", "median"),
        ("positional_encoding_type", "rotary"),
        ("scaling", "max"),
        ("activation_function", "mish"),
        ("decoder_layers", 2),
    ],
)
def test_what_the_twin_does_not_do_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(WeighbridgeError, match=option) as refusal:
        models.load("patchtst").build({**SMALL, option: value}, nnx.Rngs(0))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("shape", [(3, 30, 3), (3, 29, 2)])
def test_a_window_of_another_shape_is_refused(shape: tuple[int, ...], cases: dict[str, Case]) -> None:
    with pytest.raises(WeighbridgeError, match="past has"):
        models.twin("patchtst").forward(cases["patchtst-flat"].twin(), {"past": jax.numpy.zeros(shape)})


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("pooling", ["mean", None])
def test_transformers_itself_has_no_head_for_each_channel(channels: int, pooling: str | None) -> None:
    """Why the twin has none: there is nothing to prove it against. The day that this fails, it can have one."""
    options: dict[str, Any] = {"share_projection": False, "num_input_channels": channels, "pooling_type": pooling}
    module = reference.build({**APART, **SMALL, **options})
    past = torch.from_numpy(np.ones((3, 30, channels), np.float32))
    with pytest.raises((IndexError, RuntimeError)):
        reference.forward(module, {"past": past})


def test_fixed_positions_get_no_gradient_and_trained_ones_do(cases: dict[str, Case]) -> None:
    for name, trained in (("patchtst", False), ("patchtst-class-token", True)):
        twin: Any = nnx.clone(cases[name].twin())
        past = jax.numpy.asarray(cases[name].inputs["past"])

        def loss(module: Any, past: jax.Array = past) -> jax.Array:
            return models.twin("patchtst").forward(module, {"past": past})["prediction"].sum()

        gradient = nnx.grad(loss)(twin).model.encoder.positional_encoder.position_enc.get_value()
        assert bool(abs(gradient).max() > 0) == trained
