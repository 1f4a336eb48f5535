"""timm's ResNets."""

from __future__ import annotations

from tests.parity.case import case_of, image

SHORT = {"layers": (1, 1, 1, 1), "num_classes": 11}
THIN = {"layers": (1, 2, 1, 1), "channels": (8, 16, 24, 40), "num_classes": 7}
CASES = {
    "resnet10t": case_of("resnet", image(9, 29, 27, 1), name="resnet10t", in_chans=1, num_classes=10),
    "resnet18": case_of("resnet", image(5, 75, 50, 3), name="resnet18", num_classes=11),
    "resnet26d": case_of("resnet", image(5, 45, 62, 3), name="resnet26d", **SHORT),
    "resnet50": case_of("resnet", image(5, 40, 64, 3), name="resnet50", **SHORT),
    "resnext": case_of(
        "resnet", image(5, 41, 62, 3), name="resnext50_32x4d", **THIN, cardinality=4, base_width=32, global_pool="max"
    ),
    "senet": case_of(
        "resnet", image(4, 70, 53, 3), name="senet154", **THIN, cardinality=4, base_width=32, stem_width=8,
        zero_init_last=False,
    ),
    "seresnet-dilated": case_of(
        "resnet", image(3, 70, 53, 3), name="seresnet18", **THIN, output_stride=8, down_kernel_size=3, act_layer="silu"
    ),
    "resnet-dilated-pooled": case_of(
        "resnet", image(5, 61, 90, 1), name="resnet26t", **THIN, in_chans=1, stem_width=20, output_stride=16,
        replace_stem_pool=True, global_pool="catavgmax",
    ),
    "resnet-maps": case_of(
        "resnet", image(3, 83, 66, 3), name="resnet34d", **{**THIN, "num_classes": 0}, global_pool="", act_layer="gelu"
    ),
    "resnet-wide-features": case_of(
        "resnet", image(5, 66, 49, 3), name="wide_resnet50_2", **{**THIN, "num_classes": 0}, global_pool="avgmax",
        block_reduce_first=2, avg_down=True,
    ),
}  # fmt: skip
WHERE = {
    "stride on a bottleneck's first convolution": "resnext",
    "room of the stem's pool behind alone": "resnet18",
    "channels dealt out to groups in turn": "resnext",
    "strides gone, windows not dilated": "seresnet-dilated",
    "edge of the pooled shortcut counts in full": "resnet-wide-features",
    "hard sigmoid": "senet",
    "Keras' eps": "resnet10t",
    "an activation before the sum, too": "resnet10t",
    "a projected shortcut without its norm": "resnet10t",
}
