"""timm's EfficientNets, and the mobile networks that it builds from the same blocks."""

from weighbridge.backends.torch_nn.images import LIBRARY, build
from weighbridge.backends.torch_nn.images import classify as forward

__all__ = ["LIBRARY", "build", "forward"]
