"""torch.compile told beforehand that shapes change: one program for all of them, where inductor manages."""

from __future__ import annotations

from weighbridge.backends.torch_compile import TorchCompile


class TorchCompileDynamic(TorchCompile):
    """Inductor with `dynamic=True`."""

    name = "torch-compile-dynamic"
    arguments = {"dynamic": True}
