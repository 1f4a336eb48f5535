"""timm's EfficientNets and mobile networks. TinyNet is version 1 at half its width, and `test_` version 2 in small."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import torch

from tests.parity.case import Case, Draw, case_of, image
from weighbridge.backends.torch_nn import models as torch_models
from weighbridge.bench.core import Arrays


class Calibrated(Case):
    """Its statistics are those of its own inputs, as in a trained network. Under drawn ones, gates and activations
    that halve what they pass leave nothing of an image after ten blocks, and any mistake passes."""

    @cached_property
    def weights(self) -> Arrays:
        module = torch_models.build(self.model)
        torch_models.load_state(module, super().weights)
        for part in module.modules():
            if isinstance(part, torch.nn.BatchNorm2d):
                part.train()
                part.momentum = 1.0
        with torch.inference_mode():
            inputs = {name: torch.from_numpy(array) for name, array in self.inputs.items()}
            torch_models.forward(self.model)(module, inputs)
        return torch_models.state(module)


def calibrated(architecture: str, draw: Draw, **config: Any) -> Case:
    case = case_of(architecture, draw, **config)
    return Calibrated(case.model, case.draw)


CASES = {
    "tinynet": calibrated("efficientnet", image(5, 46, 61, 1), name="tinynet_e", in_chans=1, num_classes=11),
    "efficientnet-b0": calibrated("efficientnet", image(3, 61, 40, 3), name="efficientnet_b0", num_classes=7),
    "efficientnet-v2": calibrated(
        "efficientnet", image(5, 45, 62, 3), name="test_efficientnet", channel_multiplier=0.7, depth_multiplier=1.3,
        num_classes=11, act_layer="gelu",
    ),
    "mobilenetv2": calibrated(
        "efficientnet", image(5, 53, 38, 3), name="mobilenetv2_035", depth_multiplier=0.6, num_classes=5
    ),
    "mobilenetv2-same": calibrated(
        "efficientnet", image(3, 47, 62, 3), name="mobilenetv2_035", depth_multiplier=0.3, num_classes=5,
        pad_type="same", bn_eps=1e-3, bn_momentum=0.01, drop_path_rate=0.2,
    ),
    "mobilenetv3-small": calibrated("mobilenetv3", image(5, 50, 39, 3), name="mobilenetv3_small_050", num_classes=11),
    "mobilenetv3-large": calibrated(
        "mobilenetv3", image(3, 49, 66, 1), name="mobilenetv3_large_075", depth_multiplier=0.5, in_chans=1,
        num_classes=11, pad_type="same", head_bias=False,
    ),
}  # fmt: skip
WHERE = {"ReLU without a bound": "mobilenetv2"}
