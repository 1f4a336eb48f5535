"""A model's own sampling, which is PyTorch's code, around calls of its module that run in another runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from weighbridge.backends.torch_nn import models, tracing
from weighbridge.backends.torch_nn.exported import PassingSession, narrow
from weighbridge.backends.torch_nn.exporting import Source
from weighbridge.backends.torch_nn.models import Forward
from weighbridge.backends.torch_nn.runtime import Runtime
from weighbridge.bench.core import Arrays


class SampleSession(PassingSession):
    """Whole samples a step."""

    scope = "all steps of sampling"
    compile_scope = "one call of the module"

    def __init__(self, runtime: Runtime, source: Source, sample: Forward) -> None:
        super().__init__(runtime, source)
        self.sample = sample
        self.module: Any = models.build(source.model)
        for parameter in self.module.parameters():  # its weights are the graph's
            parameter.data = torch.empty(0)
        self.module.forward = self.call

    def to_device(self, batch: Arrays) -> dict[str, Tensor]:
        """Stays on the host, where the loop runs."""
        return {name: torch.from_numpy(narrow(array)) for name, array in batch.items()}

    def step(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        """Runs the loop."""
        with torch.no_grad():  # what torchax traces in inference mode it knows no operations of
            return self.sample(self.module, x)

    def call(self, *arguments: Any, **named: Any) -> tuple[Tensor, ...]:
        """What stands in for the module's forward pass: one run of the graph."""
        tensors = [each for each in arguments if isinstance(each, Tensor)]
        batch = {f"input_{at:02}": narrow(tensor.numpy()) for at, tensor in enumerate(tensors)}

        shape = self.runtime.shape(batch)
        graph = self.graph(batch, shape, lambda: tracing.Calling(self.source.module, arguments, named))
        found = graph.run({name: self.runtime.put(array) for name, array in batch.items()})
        arrays = (np.require(self.runtime.get(found[name]), requirements="W") for name in sorted(found))
        return tuple(map(torch.from_numpy, arrays))

    def sync(self, y: dict[str, Tensor]) -> None:
        """The loop has ended."""

    def to_host(self, y: dict[str, Tensor]) -> Arrays:
        """As they lie."""
        return {name: np.asarray(tensor) for name, tensor in y.items()}
