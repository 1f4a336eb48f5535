"""What a cache of keys and values holds, by each architecture's own way to say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file
from transformers import GPT2Config, LlamaConfig

from tests.conftest import make_cell
from weighbridge.backends.torch_compile import CompiledSession
from weighbridge.backends.torch_eager import TorchEager
from weighbridge.backends.torch_nn.decoding import kept_heads
from weighbridge.backends.torch_nn.loading import load
from weighbridge.bench.core import ModelSpec, Seeded

GPT2 = ModelSpec(
    architecture="gpt2", config={"vocab_size": 31, "n_positions": 32, "n_embd": 24, "n_layer": 2, "n_head": 3},
    weights=Seeded(seed=4),
)  # fmt: skip


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (LlamaConfig(hidden_size=64, num_attention_heads=8, num_key_value_heads=2), (2, 8)),
        (LlamaConfig(hidden_size=64, num_attention_heads=8, head_dim=16), (8, 16)),
        (GPT2Config(n_embd=24, n_head=3), (3, 8)),
    ],
)
def test_heads_are_told_in_every_architectures_words(config: Any, expected: tuple[int, int]) -> None:
    assert kept_heads(config) == expected


def test_gpt2_decodes_in_a_static_cache_and_is_counted(tmp_path: Path) -> None:
    """Its configuration names neither heads of keys nor their size."""
    weights = tmp_path / "gpt2.safetensors"
    save_file(TorchEager().weights(GPT2, {}, None), weights)
    eager = TorchEager().open(GPT2, weights, make_cell("torch", scenario="generate", batch_size=2))
    compiled = CompiledSession(
        load(GPT2, weights, make_cell("torch-compile")), make_cell("torch-compile", scenario="generate"), None
    )
    batch = {"input_ids": np.arange(10).reshape(2, 5), "new_tokens": np.asarray(6)}
    by_eager, by_static = (
        session.to_host(session.step(session.to_device(batch)))["tokens"] for session in (eager, compiled)
    )
    assert by_eager.tolist() == by_static.tolist()
    cost = eager.cost(eager.to_device(batch))
    assert cost is not None
    weight_bytes = 4 * sum(weight.size for weight in TorchEager().weights(GPT2, {}, None).values())
    assert cost.token_bytes == weight_bytes + 2 * 2 * (5 + 6 / 2) * 2 * 24 * 4  # rows, positions, keys and values
