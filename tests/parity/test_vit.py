"""Names mean what they mean to timm, and what the ViT twin does not do is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest
import timm
from flax import nnx

from weighbridge.backends.flax_nnx import bridge, models
from weighbridge.backends.flax_nnx.models import vit
from weighbridge.backends.flax_nnx.models._vit_config import NAMES, Config
from weighbridge.backends.flax_nnx.twin import streams
from weighbridge.bench.core import WeighbridgeError

pytestmark = pytest.mark.usefixtures("strict_jax")

LATER = re.compile(r"blocks\.[1-9]")
TINY: dict[str, Any] = {
    "name": "vit_tiny_patch16_224", "img_size": 32, "patch_size": 16, "embed_dim": 12, "num_heads": 3, "depth": 1,
    "num_classes": 5,
}  # fmt: skip


def shapes(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    module = nnx.eval_shape(lambda: vit.build(config, streams(0)))
    return {name: slot.shape for slot in bridge._slots(module) for name in slot.names}


@pytest.mark.parametrize("name", NAMES)
def test_names_mean_what_they_mean_to_timm(name: str) -> None:
    """No array is ever filled, and of equal blocks the first is compared."""
    theirs, ours = timm.create_model(name, device="meta"), models.settings(Config, NAMES[name])
    first = {name: tuple(weight.shape) for name, weight in theirs.state_dict().items() if not LATER.match(name)}
    assert shapes({"name": name, "depth": 1}) == first
    assert ours.depth == len(theirs.blocks)
    assert ours.num_heads == theirs.blocks[0].attn.num_heads
    for option in ("global_pool", "no_embed_class", "pool_include_prefix"):
        assert getattr(ours, option) == getattr(theirs, option)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("global_pool", "map"),
        ("global_pool", "prr"),
        ("act_layer", "mish"),
        ("pos_embed", "rope"),
        ("class_token", False),
        ("num_heads", 5),
        ("norm_layer", "rmsnorm"),
        ("embed_norm_layer", "layernorm"),
        ("attn_layer", "diff"),
        ("dynamic_img_size", True),
        ("dynamic_img_pad", True),
        ("drop_rate", 0.1),
        ("pos_drop_rate", 0.1),
        ("patch_drop_rate", 0.1),
        ("proj_drop_rate", 0.1),
        ("attn_drop_rate", 0.1),
        ("drop_path_rate", 0.1),
        ("features_only", True),
    ],
)
def test_what_the_twin_does_not_do_is_refused_by_name(option: str, value: Any) -> None:
    with pytest.raises(WeighbridgeError, match=option) as refusal:
        models.load("vit").build({**TINY, option: value}, nnx.Rngs(0))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("change", [{"weight_init": "skip"}, {"fix_init": True}, {"fc_norm": None}, {"init_values": 0}])
def test_what_shapes_no_forward_pass_is_idle(change: dict[str, Any]) -> None:
    """`init_values` of 0 is no layer scale, as None is."""
    assert shapes({**TINY, **change}) == shapes(TINY)
