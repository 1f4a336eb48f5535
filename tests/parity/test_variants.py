"""Variants that nobody wrote down: depth, widths, heads and the rest drawn by a seed, three a family, and parity holds.

`CASES` are picked for what each has; these are not picked at all. A seed that fails once stays here as a case.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from tests.parity.case import Case, Draw, case_of, features, image, sentences
from tests.parity.cases import gpt2, llama, two_towers, unet
from tests.parity.cases.dual_encoder import both, tower
from tests.parity.cases.efficientnet import calibrated
from tests.parity.cases.patchtst import windows
from weighbridge.backends.flax_nnx import models

pytestmark = pytest.mark.usefixtures("strict_jax")


def mlp(rng: Random) -> Case:
    width, layer_norm = rng.randint(2, 20), rng.random() < 0.5
    hidden = [rng.randint(3, 50) for _ in range(rng.randint(1, 4))]
    return case_of(
        "mlp", features(17, width), in_features=width, hidden=hidden, out_features=rng.randint(1, 5),
        activation=rng.choice(["gelu", "relu"]), layer_norm=layer_norm,
    )  # fmt: skip


def bert(rng: Random) -> Case:
    heads, length = rng.randint(1, 5), rng.randint(3, 30)
    return case_of(
        "bert", sentences(rng.randint(3, 9), length), vocab_size=99, hidden_size=heads * rng.randint(4, 13),
        num_attention_heads=heads, intermediate_size=rng.randint(9, 90), num_hidden_layers=rng.randint(1, 4),
        hidden_act=rng.choice(["gelu", "gelu_new", "relu"]), layer_norm_eps=rng.choice([1e-12, 1e-5]),
    )  # fmt: skip


def vit(rng: Random) -> Case:
    patch, heads = [rng.randint(4, 9) for _ in range(2)], rng.randint(1, 5)
    size = [side * rng.randint(2, 5) for side in patch]
    return case_of(
        "vit", image(rng.randint(3, 6), *size, 3), name="vit_tiny_patch16_224", img_size=size, patch_size=patch,
        embed_dim=heads * rng.randint(4, 12), num_heads=heads, depth=rng.randint(1, 3), qkv_bias=rng.random() < 0.5,
        reg_tokens=rng.randint(0, 3), init_values=rng.choice([None, 0.5]), num_classes=rng.randint(2, 12),
        global_pool=rng.choice(["token", "avg"]), mlp_ratio=rng.choice([2.0, 3.5, 4.0]),
    )  # fmt: skip


def resnet(rng: Random) -> Case:
    return case_of(
        "resnet", image(rng.randint(3, 6), rng.randint(33, 80), rng.randint(33, 80), 3),
        name=rng.choice(["resnet18", "resnet26d", "resnet26t", "seresnet18"]),
        layers=tuple(rng.randint(1, 2) for _ in range(4)), channels=tuple(8 * rng.randint(1, 5) for _ in range(4)),
        num_classes=rng.randint(2, 12),
    )  # fmt: skip


def convnext(rng: Random) -> Case:
    return case_of(
        "convnext", image(rng.randint(3, 6), rng.randint(33, 80), rng.randint(33, 80), 3),
        name=rng.choice(["convnext_atto", "convnextv2_atto"]), depths=[rng.randint(1, 2) for _ in range(4)],
        dims=[rng.randint(3, 10) * 4 for _ in range(4)], kernel_sizes=rng.choice([3, 5, 7]),
        num_classes=rng.randint(2, 12),
    )  # fmt: skip


def gpt(rng: Random) -> Case:
    heads = rng.randint(1, 6)
    return case_of("gpt2", gpt2.tokens(rng.randint(2, 6), rng.randint(2, 40)), **{
        **gpt2.SMALL, "n_embd": heads * rng.randint(3, 12), "n_head": heads, "n_layer": rng.randint(1, 4),
        "tie_word_embeddings": rng.random() < 0.5,
    })  # fmt: skip


def grouped(rng: Random) -> Case:
    groups, head = rng.randint(1, 4), 2 * rng.randint(2, 7)
    heads = groups * rng.randint(1, 4)
    return case_of("llama", llama.tokens(rng.randint(2, 6), rng.randint(2, 40)), **{
        **llama.SMALL, "num_attention_heads": heads, "num_key_value_heads": groups, "head_dim": head,
        "hidden_size": rng.randint(9, 60), "intermediate_size": rng.randint(9, 90),
        "rope_theta": rng.choice([100.0, 1e4]),
        "num_hidden_layers": rng.randint(1, 3), "tie_word_embeddings": rng.random() < 0.5,
    })  # fmt: skip


def patchtst(rng: Random) -> Case:
    heads, patch, channels = rng.randint(1, 4), rng.randint(3, 8), rng.randint(1, 5)
    past = patch * rng.randint(3, 6)
    return case_of(
        "patchtst", windows(4, past, channels), num_input_channels=channels, context_length=past, patch_length=patch,
        patch_stride=rng.randint(2, patch), d_model=heads * 2 * rng.randint(2, 8), num_attention_heads=heads,
        ffn_dim=rng.randint(9, 60), num_hidden_layers=rng.randint(1, 3), prediction_length=rng.randint(1, 12),
        norm_type=rng.choice(["batchnorm", "layernorm"]), pre_norm=rng.random() < 0.5,
    )  # fmt: skip


def ensemble(rng: Random) -> Case:
    width, hidden = rng.randint(2, 12), [rng.randint(3, 40) for _ in range(rng.randint(1, 3))]
    return case_of(
        "ensemble", features(15, width), in_features=width, hidden=hidden,
        members=rng.randint(1, 6), activation=rng.choice(["gelu", "relu", "silu", "tanh"]),
        layer_norm=rng.random() < 0.5,
    )  # fmt: skip


def towers(rng: Random) -> Case:
    ids, length = rng.randint(20, 60), rng.randint(3, 12)
    width = rng.randint(4, 30)
    return case_of(
        "two_towers", two_towers.histories(13, length, ids), ids=ids, width=width, query_hidden=[rng.randint(4, 30)],
        item_hidden=[rng.randint(4, 30)], shared_table=rng.random() < 0.5, layer_norm=rng.random() < 0.5,
        temperature=0.1,
    )  # fmt: skip


def diffusion(rng: Random) -> Case:
    groups, levels = rng.choice([2, 4]), rng.randint(1, 3)
    kinds = [rng.choice(["plain", "attn"]) for _ in range(levels)]
    side = 2**levels
    return case_of(
        "unet", unet.noisy(4, side * rng.randint(1, 3), side * rng.randint(1, 3), 2, classes=5), in_channels=2,
        out_channels=2, block_out_channels=[groups * 2 * rng.randint(2, 6) for _ in kinds], norm_num_groups=groups,
        layers_per_block=rng.randint(1, 2), attention_head_dim=None, num_class_embeds=5, **unet.levels(*kinds),
    )  # fmt: skip


def scaled(architecture: str, names: dict[str, tuple[str, ...]]) -> Callable[[Random], Case]:
    """Of timm's names, whose blocks are few, scaled by those of the multipliers that timm does not fix for them."""

    def draw(rng: Random) -> Case:
        channels, name = rng.randint(1, 4), rng.choice([*names])
        factors = {f"{kind}_multiplier": rng.uniform(0.3, 0.8) for kind in names[name]}
        return calibrated(
            architecture, image(rng.randint(3, 6), rng.randint(33, 70), rng.randint(33, 70), channels),
            name=name, in_chans=channels, **factors,
            num_classes=rng.randint(2, 12), act_layer=rng.choice(["relu", "silu", "hard_swish", "gelu"]),
            pad_type=rng.choice(["", "same"]), bn_eps=rng.choice([1e-5, 1e-3]),
        )  # fmt: skip

    return draw


def classifier(rng: Random) -> Case:
    config = {**bert(rng).model.config, "num_labels": rng.randint(2, 9)}
    return case_of("bert_classifier", sentences(rng.randint(3, 9), rng.randint(3, 30)), **config)


def pair(rng: Random) -> tuple[Draw, dict[str, Any]]:
    """Of an image tower and a text tower."""
    config, channels, width = bert(rng).model.config, rng.randint(1, 4), 4 * rng.randint(2, 12)
    size = (rng.randint(33, 60), rng.randint(33, 60), channels)
    resnet10t = tower("resnet", "resnet10t", width, channels=(8, 16, 24, width), in_chans=channels)
    text = {"architecture": "bert", "config": config, "width": config["hidden_size"]}
    return both(size, rng.randint(3, 8), rng.randint(3, 20)), {"image": resnet10t, "text": text}


def dual(rng: Random) -> Case:
    draw, towers = pair(rng)
    return case_of("dual_encoder", draw, **towers, projection_dim=rng.randint(5, 60))


def beside(rng: Random) -> Case:
    draw, towers = pair(rng)
    return case_of(
        "image_text_classifier", draw, **towers, hidden=rng.randint(5, 60), num_classes=rng.randint(2, 12)
    )  # fmt: skip


FAMILIES: list[Callable[[Random], Case]] = [
    mlp, bert, vit, resnet, convnext, gpt, grouped, patchtst, ensemble, towers, diffusion, classifier, dual, beside,
]  # fmt: skip
MOBILE = {
    "efficientnet": scaled(
        "efficientnet", {"tinynet_e": (), "mobilenetv2_035": ("depth",), "test_efficientnet": ("channel", "depth")}
    ),
    "mobilenetv3": scaled("mobilenetv3", {"mobilenetv3_small_050": ("depth",), "mobilenetv3_large_075": ("depth",)}),
}
DRAWN = {**{family.__name__: family for family in FAMILIES}, **MOBILE}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("family", DRAWN)
def test_a_drawn_variant_keeps_parity(family: str, seed: int) -> None:
    case = DRAWN[family](Random(seed))
    verdict = case.judge()
    assert verdict.passed, f"{case.model.config}: {verdict.output} at {verdict.ratio} times PyTorch's error"


def test_every_twin_has_a_family() -> None:
    assert {family(Random(0)).model.architecture for family in DRAWN.values()} == set(models.names())
