"""What these networks' twins do not do is refused, and names mean timm's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import timm

from weighbridge.backends.flax_nnx import bridge, models
from weighbridge.backends.flax_nnx.models import efficientnet
from weighbridge.backends.flax_nnx.twin import built, streams
from weighbridge.bench.core import WeighbridgeError

NAMES = {
    "efficientnet": ["efficientnet_b2", "tf_efficientnet_lite1", "tf_efficientnetv2_b1", "mobilenetv2_110d"],
    "mobilenetv3": ["mobilenetv3_large_150d", "tf_mobilenetv3_small_minimal_100"],
}
"""Each way in which names scale; all others differ from one of these in figures only."""


@pytest.mark.parametrize(("architecture", "name"), [(kind, name) for kind, names in NAMES.items() for name in names])
def test_a_name_means_timms_model(architecture: str, name: str) -> None:
    """Shapes of all weights, and what no shape shows. Nothing is held: weights are one zero, seen as many."""
    theirs = timm.create_model(name, device="meta")
    zeros = {key: np.broadcast_to(np.float32(0), tensor.shape) for key, tensor in theirs.state_dict().items()}
    ours = built(lambda: models.twin(architecture).build({"name": name}, streams(0)))
    bridge.load(ours, zeros)
    assert (ours.bn1.epsilon, ours.bn1.momentum) == (theirs.bn1.eps, 1 - theirs.bn1.momentum)
    assert ours.conv_stem.uneven == (type(theirs.conv_stem).__name__ == "Conv2dSame")
    assert ours.conv_stem.window.padding == theirs.conv_stem.padding
    for block, other in zip((b for s in ours.blocks for b in s), (b for s in theirs.blocks for b in s), strict=True):
        assert block.skip == other.has_skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"act_layer": "mish"}, "no act_layer 'mish'"),
        ({"pad_type": "valid"}, "no pad_type 'valid'"),
        ({"num_classes": 0}, "num_classes is 0"),
        ({"global_pool": "max"}, "no global_pool"),
        ({"output_stride": 16}, "no output_stride"),
        ({"aa_layer": "blur"}, "no aa_layer"),
        ({"name": "efficientnet_b0_gn"}, "no model named"),
    ],
)
def test_what_the_twin_does_not_do_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(WeighbridgeError, match=said) as refusal:
        efficientnet.build({"name": "efficientnet_b0", **change}, streams(0))
    assert "\n" not in str(refusal.value)
