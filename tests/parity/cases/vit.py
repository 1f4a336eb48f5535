"""timm's VisionTransformers."""

from __future__ import annotations

from tests.parity.case import case_of, image

CASES = {
    "vit": case_of("vit", image(5, 48, 48, 3), name="vit_tiny_patch16_224", img_size=48, depth=2, num_classes=11),
    "vit-patch8": case_of(
        "vit", image(3, 40, 40, 1), name="vit_tiny_patch16_224", img_size=40, patch_size=8, depth=3, in_chans=1
    ),
    "vit-registers": case_of(
        "vit", image(4, 50, 30, 3), name="vit_small_patch14_reg4_dinov2", img_size=[50, 30], patch_size=[8, 7],
        embed_dim=45, num_heads=5, depth=2, reg_tokens=3, qkv_bias=False, act_layer="silu", num_classes=7,
    ),
    "vit-gap": case_of(
        "vit", image(5, 33, 47, 3), name="vit_medium_patch16_reg4_gap_256", img_size=[33, 47], patch_size=[11, 6],
        embed_dim=42, num_heads=6, depth=2, mlp_ratio=2.6, reg_tokens=2, proj_bias=False, pre_norm=True, num_classes=5,
    ),
    "vit-gap-normed-first": case_of(
        "vit", image(3, 32, 24, 1), name="vit_medium_patch16_gap_256", img_size=[32, 24], patch_size=8, embed_dim=30,
        num_heads=2, depth=2, in_chans=1, qk_norm=True, act_layer="gelu_tanh", num_classes=9,
    ),
    "vit-tokens": case_of(
        "vit", image(2, 27, 45, 3), name="vit_tiny_patch16_224", img_size=[27, 45], patch_size=9, embed_dim=24,
        num_heads=8, depth=2, global_pool="", num_classes=0, scale_attn_norm=True, scale_mlp_norm=True,
    ),
    "vit-avgmax": case_of(
        "vit", image(6, 24, 24, 3), name="vit_tiny_patch16_224", img_size=24, patch_size=6, embed_dim=33, num_heads=3,
        depth=1, global_pool="avgmax", pool_include_prefix=True, pos_embed="none", reg_tokens=1, act_layer="relu",
        num_classes=6,
    ),
    "vit-max-unnormed": case_of(
        "vit", image(6, 24, 20, 3), name="deit3_small_patch16_224", img_size=[24, 20], patch_size=5, embed_dim=28,
        num_heads=4, depth=1, global_pool="max", final_norm=False, num_classes=6,
    ),
    "vit-token-normed-last": case_of(
        "vit", image(4, 20, 36, 3), name="vit_tiny_patch16_224", img_size=[20, 36], patch_size=4, embed_dim=36,
        num_heads=4, depth=2, fc_norm=True, no_embed_class=True, num_classes=0,
    ),
}  # fmt: skip
WHERE = {
    "fused qkv split heads first": "vit-registers",
    "no layer scale": "vit-registers",
    "registers before the class token": "vit-registers",
    "mean over the prefix, too": "vit-gap",
    "patches counted column by column": "vit-gap",
}
