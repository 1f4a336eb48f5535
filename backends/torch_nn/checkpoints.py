"""Weights out of the files that people publish."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file

from weighbridge.backends.torch_nn import models
from weighbridge.bench.core import Arrays, ModelSpec, Packaged

UNUSED_LEAVES = ("position_ids", "num_batches_tracked")
UNUSED_BRANCHES = ("pooler.",)
"""Published beside a body, and no part of every model that has the body."""


def weights(model: ModelSpec, source: Packaged, folder: Path) -> Arrays:
    """The tensors of a safetensors or GGUF file, in float32, less those that the architecture does not use."""
    path = folder / source.path
    if path.suffix == ".gguf":
        return _gguf_weights(model, path)
    has = models.state(models.build(model)).keys()
    unused = [branch for branch in UNUSED_BRANCHES if not any(name.startswith(source.prefix + branch) for name in has)]
    return {
        source.prefix + name: array.astype(np.float32)
        for name, array in load_file(path).items()
        if not name.startswith(tuple(unused)) and name.rpartition(".")[2] not in UNUSED_LEAVES
    }


def _gguf_weights(model: ModelSpec, path: Path) -> Arrays:
    """A GGUF checkpoint through transformers, which dequantises it and undoes its order of rotary pairs.

    The configuration is ours: reading it out of the file's metadata would take as long as reading the weights.
    """
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(**model.config)
    module = LlamaForCausalLM.from_pretrained(path.parent, config=config, gguf_file=path.name, dtype=torch.float32)
    return models.state(module)
