"""A loaded module that is stepped: what every backend shares that runs PyTorch's own modules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from weighbridge.backends.torch_nn import counting, decoding, effective
from weighbridge.backends.torch_nn.loading import torch_dtype
from weighbridge.bench.core import Arrays, Cell, Cost, Device, Session

SCOPES = {"infer": "model forward", "generate": "prefill and decode", "sample": "all steps of sampling"}
"""What one timed step holds; every backend's says the same or gets no ratio."""


def wait(device: Device) -> None:
    """For everything that is queued on a device."""
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


class Outputs(dict[str, Any]):
    """Names -> tensors of a step on a device, and the event that follows its last kernel."""

    done: Any = None


class TorchSession(Session):
    """A loaded module and the function that a step calls; without one it decodes greedily with a KV cache."""

    def __init__(self, module: Any, cell: Cell, function: Callable[..., dict[str, Any]] | None) -> None:
        import torch

        self.torch, self.module, self.cell, self.function = torch, module, cell, function
        self.dtype = torch_dtype(cell.precision)
        self.sample: Any = None
        self.ran_on = ""
        self.run = self.generate if function is None else self.infer
        if function is None:
            module.generation_config.eos_token_id = None  # every backend produces as many tokens as it was asked for

    def to_device(self, batch: Arrays) -> Any:
        """Floats go to the cell's precision; images are NHWC already, which is channels_last after a permute."""
        x = {name: self._tensor(array) if np.ndim(array) else int(array) for name, array in batch.items()}
        self.sample = self.sample or x
        return x

    def _tensor(self, array: np.ndarray) -> Any:
        tensor = self.torch.from_numpy(np.ascontiguousarray(array))
        return tensor.to(self.cell.device, self.dtype if tensor.is_floating_point() else None)

    def step(self, x: dict[str, Any]) -> Any:
        """One forward pass or one generation. On a device an event is recorded behind it, for `sync` to wait for."""
        with self.torch.inference_mode():
            y = self.run(x)
        return self._marked(y) if self.cell.device == "cuda" else y

    def _marked(self, y: dict[str, Any]) -> Outputs:
        outputs = Outputs(y)
        outputs.done = self.torch.cuda.Event()
        outputs.done.record()
        return outputs

    def infer(self, x: dict[str, Any]) -> Any:
        """Names -> tensors."""
        assert self.function is not None
        return self.function(self.module, x)

    def generate(self, x: dict[str, Any]) -> Any:
        """Tokens, and the logit of each."""
        return decoding.greedy(self.module, x, self.generate_options(x))

    def generate_options(self, x: dict[str, Any]) -> dict[str, Any]:
        """What is said to transformers' `generate` beside the request; its cache grows by default."""
        return {}

    def sync(self, y: Any) -> None:
        """CPU work is done when it returns; a device is waited for up to this step, not to what is queued behind it."""
        if isinstance(y, Outputs):
            y.done.synchronize()

    def to_host(self, y: dict[str, Any]) -> Arrays:
        """Half types are widened to float32."""
        return {name: self._host(tensor) for name, tensor in y.items()}

    def _host(self, tensor: Any) -> np.ndarray:
        self.ran_on = tensor.device.type
        narrow = tensor.is_floating_point() and tensor.dtype.itemsize < 4
        return (tensor.float() if narrow else tensor).cpu().numpy()

    def reset_peak_memory(self) -> bool:
        """Gives back what the cache holds and nothing uses, so that the reserved peak starts anew, too."""
        if self.cell.device != "cuda":
            return False
        self.torch.cuda.synchronize()
        self.torch.cuda.empty_cache()
        self.torch.cuda.reset_peak_memory_stats()
        return True

    def device_peak_bytes(self) -> int | None:
        """Peak of allocated device memory."""
        return self.torch.cuda.max_memory_allocated() or None if self.cell.device == "cuda" else None

    def device_reserved_bytes(self) -> int | None:
        """Peak of what the caching allocator held."""
        return self.torch.cuda.max_memory_reserved() or None if self.cell.device == "cuda" else None

    def cost(self, x: dict[str, Any]) -> Cost | None:
        """Counted by torch, and of no program that was compiled."""
        of = counting.of_decoding if self.function is None else counting.of_a_pass
        return of(self.step, self.module, x)

    def attention(self) -> list[str]:
        """Which of torch's attention kernels a step dispatches to; takes a step, of one token where it decodes."""
        if self.sample is None:
            return []
        x = {name: 1 if name == "new_tokens" else given for name, given in self.sample.items()}
        found = effective.attention_of(lambda: self.run(x))
        wait(self.cell.device)
        return found

    def facts(self) -> dict[str, Any]:
        """Effective footing, read back from torch."""
        samples = self.function is not None and self.cell.scenario == "generate"
        return {
            **effective.of_the_process(self.cell),
            "attention": self.attention(),
            "ran_on": self.ran_on or None,
            "precision": str(self.dtype).removeprefix("torch."),
            "layout": effective.layout(self.module),
            "prepacked": [],
            "scope": SCOPES["sample" if samples else self.cell.scenario],
            "compile_scope": "none",
            "graph_breaks": 0,
            "donation": False,
            "cuda_graphs": False,
        }
