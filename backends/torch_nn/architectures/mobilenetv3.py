"""timm's MobileNetV3s."""

from weighbridge.backends.torch_nn.images import LIBRARY, build
from weighbridge.backends.torch_nn.images import classify as forward

__all__ = ["LIBRARY", "build", "forward"]
