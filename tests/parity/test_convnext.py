"""What the ConvNeXt twin does not do is refused, names are timm's, and paths are dropped as timm drops them."""

from __future__ import annotations

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import timm
from flax import nnx

from weighbridge.backends.flax_nnx import bridge
from weighbridge.backends.flax_nnx.models import convnext
from weighbridge.backends.flax_nnx.models._convnext_config import NAMES
from weighbridge.backends.flax_nnx.twin import built, streams
from weighbridge.bench.core import WeighbridgeError

pytestmark = pytest.mark.usefixtures("strict_jax")

TINY: dict[str, Any] = {"depths": [1, 1, 1, 1], "dims": [4, 4, 8, 8], "num_classes": 3}


def twin(name: str = "convnext_atto", **changes: Any) -> Any:
    return built(lambda: convnext.build({"name": name, **TINY, **changes}, streams(0)))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("act_layer", "mish"),
        ("norm_layer", "batchnorm2d"),
        ("global_pool", "catavgmax"),
        ("global_pool", ""),
        ("output_stride", 4),
        ("stem_type", "conv"),
        ("depths", [1, 1, 1]),
        ("dims", [4, 4, 8, 8, 16]),
        ("kernel_sizes", [7, [3, 5], 3, 3]),
        ("features_only", True),
    ],
)
def test_what_the_twin_does_not_do_is_refused(option: str, value: Any) -> None:
    with pytest.raises(WeighbridgeError, match=option) as refusal:
        twin(**{option: value})
    assert "\n" not in str(refusal.value)


def test_a_hidden_layer_behind_a_norm_that_comes_first_is_refused() -> None:
    with pytest.raises(WeighbridgeError, match="head_hidden_size"):
        twin(head_norm_first=True, head_hidden_size=5)


@pytest.mark.parametrize("name", NAMES)
def test_names_mean_what_they_mean_to_timm(name: str) -> None:
    """Weights of the full size, none of which takes memory; one block stands for its stage, which is as the others."""
    theirs, config, zero = timm.create_model(name, device="meta"), NAMES[name], np.zeros((), np.float32)
    assert [len(stage.blocks) for stage in theirs.stages] == list(config["depths"])
    assert theirs.stem[-1].eps == config.get("norm_eps", 1e-6)
    ours = nnx.eval_shape(lambda: convnext.build({"name": name, "depths": [1, 1, 1, 1]}, streams(0)))
    first = {key: weight for key, weight in theirs.state_dict().items() if re.search(r"blocks\.[1-9]", key) is None}
    bridge.load(ours, {key: np.broadcast_to(zero, weight.shape) for key, weight in first.items()})


def test_none_stands_for_the_default_as_in_timm() -> None:
    assert twin(ls_init_value=None).stages[0].blocks[0].gamma is not None
    assert twin("convnextv2_atto", ls_init_value=None).stages[0].blocks[0].gamma is None


def test_an_empty_channel_has_a_gradient() -> None:
    """ReLU leaves channels of zeros, and there a root's gradient is infinite."""
    norm = convnext.ResponseNorm(3)
    bridge.load(norm, {"weight": np.ones(3, np.float32), "bias": np.zeros(3, np.float32)})
    x_BHWC = jnp.zeros((1, 2, 2, 3)).at[..., 0].set(1.0)
    assert np.isfinite(jax.grad(lambda x: jnp.sum(norm(x)))(x_BHWC)).all()


def test_paths_are_dropped_by_example() -> None:
    drop, x_BHWC = convnext.DropPath(0.5, rngs=streams(3)), jnp.ones((64, 3, 2, 5))
    np.testing.assert_array_equal(drop(x_BHWC), x_BHWC)
    drop.train()
    rows = np.asarray(drop(x_BHWC)).reshape(64, -1)
    np.testing.assert_array_equal(rows.min(1), rows.max(1))
    assert set(rows[:, 0].tolist()) == {0.0, 2.0}


def test_rates_of_dropping_grow_as_timms() -> None:
    rates = {"depths": [2, 1, 3, 1], "drop_path_rate": 0.3}
    theirs, ours = timm.create_model("convnext_atto", **{**TINY, **rates}), twin(**rates)
    expected, found = ([block.drop_path for stage in each.stages for block in stage.blocks] for each in (theirs, ours))
    np.testing.assert_allclose([drop.rate for drop in found[1:]], [drop.drop_prob for drop in expected[1:]], rtol=1e-6)
    assert found[0] is convnext.identity
