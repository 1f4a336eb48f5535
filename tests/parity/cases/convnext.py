"""timm's ConvNeXts: stems, norms, heads, dilated stages and the second version's response norm."""

from __future__ import annotations

from tests.parity.case import case_of, image

SHORT = {"depths": [1, 1, 1, 1], "dims": [12, 20, 28, 36], "num_classes": 11}
CASES = {
    "convnext": case_of("convnext", image(5, 71, 49, 3), name="convnext_atto", **{**SHORT, "depths": [1, 2, 1, 1]}),
    "convnext-mlp": case_of(
        "convnext", image(5, 35, 46, 1), name="convnext_large_mlp", depths=[1, 1, 2, 1], dims=[8, 16, 24, 40],
        kernel_sizes=[7, 5, 5, 3], patch_size=2, in_chans=1, conv_bias=False, head_hidden_size=17, num_classes=10,
        act_layer="silu", ls_init_value=None,
    ),
    "convnext-ols": case_of(
        "convnext", image(3, 45, 59, 3), name="convnext_atto_ols", depths=[1, 0, 1, 2], dims=[20, 20, 28, 36],
        output_stride=8, global_pool="avgmax", num_classes=7, norm_eps=1e-5,
    ),
    "convnext-hnf": case_of(
        "convnext", image(3, 67, 52, 3), name="convnext_tiny_hnf", output_stride=16, drop_rate=0.2,
        drop_path_rate=0.3, act_layer="gelu_tanh", **SHORT,
    ),
    "convnext-simple-norm": case_of(
        "convnext", image(5, 58, 33, 3), name="convnext_zepto_rms_ols", act_layer="relu", kernel_sizes=3, **SHORT
    ),
    "convnext-rms-norm": case_of(
        "convnext", image(5, 44, 61, 3), name="convnext_atto_rms", kernel_sizes=5, global_pool="max",
        **{**SHORT, "num_classes": 0},
    ),
    "convnextv2": case_of("convnext", image(5, 53, 70, 3), name="convnextv2_tiny", **SHORT),
    "convnextv2-relu": case_of(
        "convnext", image(3, 39, 41, 3), name="convnextv2_atto", act_layer="relu", ls_init_value=0.1, kernel_sizes=3,
        stem_type="overlap", **SHORT,
    ),
}  # fmt: skip
WHERE = {
    "strides gone, blocks not dilated": "convnext-ols",
    "odd pixel of room before the image": "convnext-ols",
    "response norm over the batch": "convnextv2",
    "biased deviation": "convnext-simple-norm",
    "mean for mean and max": "convnext-ols",
}
