"""Names mean what they mean to timm, and what the ResNet twin does not do is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
import timm
from flax import nnx

from weighbridge.backends.flax_nnx import bridge, models
from weighbridge.backends.flax_nnx.models import resnet
from weighbridge.backends.flax_nnx.models._resnet_config import NAMES
from weighbridge.backends.flax_nnx.twin import streams
from weighbridge.bench.core import WeighbridgeError

pytestmark = pytest.mark.usefixtures("strict_jax")

LATER = re.compile(r"layer\d\.[1-9]")


@pytest.mark.parametrize("name", NAMES)
def test_names_mean_what_they_mean_to_timm(name: str) -> None:
    """No array is ever filled, and of a stage's blocks the first is compared, which alone has a shortcut."""
    theirs = timm.create_model(name, device="meta")
    ours: Any = nnx.eval_shape(lambda: resnet.build({"name": name, "layers": (1, 1, 1, 1)}, streams(0)))
    first = {name: tuple(weight.shape) for name, weight in theirs.state_dict().items() if not LATER.match(name)}
    found = {name: slot.shape for slot in bridge._slots(ours) for name in slot.names}
    assert found == {name: shape for name, shape in first.items() if not name.endswith("num_batches_tracked")}
    assert NAMES[name]["layers"] == tuple(len(getattr(theirs, f"layer{stage}")) for stage in range(1, 5))
    assert NAMES[name].get("cardinality", 1) == theirs.layer1[0].conv2.groups


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("output_stride", 4),
        ("global_pool", "fastavg"),
        ("global_pool", ""),
        ("act_layer", "mish"),
        ("attn_layer", "eca"),
        ("cardinality", 2),
        ("base_width", 32),
        ("layers", (1, 1, 1)),
        ("channels", (8, 16, 24, 32, 40)),
        ("norm_layer", "groupnorm"),
        ("aa_layer", "avg"),
        ("block_args", {"attn_layer": "se"}),
        ("drop_rate", 0.1),
        ("drop_path_rate", 0.1),
        ("drop_block_rate", 0.1),
        ("features_only", True),
    ],
)
def test_what_the_twin_does_not_do_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(WeighbridgeError, match=option) as refusal:
        models.load("resnet").build({"name": "resnet18", option: value}, nnx.Rngs(0))
    assert "\n" not in str(refusal.value)
