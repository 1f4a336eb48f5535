"""timm's ConvNeXts, the second version's too."""

from backends.torch_nn.images import LIBRARY, build
from backends.torch_nn.images import classify as forward

__all__ = ["LIBRARY", "build", "forward"]
