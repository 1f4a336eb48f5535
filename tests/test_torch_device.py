"""What torch and JAX are told on a device, as far as a host shows it. Calls into CUDA are stood in for one by one."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from torch import nn

from backends.flax_nnx import layers
from backends.flax_nnx.backend import Flax
from backends.torch_eager import TorchEager, TorchSession
from backends.torch_nn.tf32 import round_tf32
from bench.core import Arrays, ModelSpec, Seeded, Session
from tests.conftest import make_cell

MLP = ModelSpec(
    architecture="mlp", config={"in_features": 10, "hidden": [64, 64], "out_features": 1}, weights=Seeded(seed=1)
)
BERT = ModelSpec(
    architecture="bert",
    config={
        "vocab_size": 31, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "intermediate_size": 32, "max_position_embeddings": 16,
    },
    weights=Seeded(seed=2),
)  # fmt: skip
FEATURES: Arrays = {"features": np.random.default_rng(0).normal(size=(32, 10)).astype(np.float32)}
IDS = np.random.default_rng(0).integers(1, 31, (2, 8))


def opened(model: ModelSpec, folder: Path, **cell: Any) -> Session:
    weights = folder / f"{model.architecture}.safetensors"
    save_file(TorchEager().weights(model, {}, None), weights)
    return TorchEager().open(model, weights, make_cell("torch", **cell))


def prediction(session: Session) -> np.ndarray:
    return session.get(session.step(session.put(FEATURES)))["prediction"].astype(np.float64)


class Cuda:
    """Hears which of torch.cuda's functions are called, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
            monkeypatch.setattr(torch.cuda, name, lambda name=name: self.calls.append(name))
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 0)
        monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 4096)


def test_torch_forgets_its_peaks_at_the_steady_state_and_waits_before(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)
    session = TorchSession(nn.Linear(1, 1), make_cell("torch", device="cuda"), lambda module, x: x)
    assert session.forget_peaks()
    assert cuda.calls == ["synchronize", "empty_cache", "reset_peak_memory_stats"]
    assert session.device_peak_bytes() is None  # 0 is not a figure
    assert session.device_reserved_bytes() == 4096


def test_a_torch_step_on_a_device_is_waited_for_and_one_on_a_host_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)
    for device in ("cpu", "cuda"):
        TorchSession(nn.Linear(1, 1), make_cell("torch", device=device), lambda module, x: x).sync(None)
    assert cuda.calls == ["synchronize"]
    host = TorchSession(nn.Linear(1, 1), make_cell("torch"), lambda module, x: x)
    assert (host.forget_peaks(), host.device_peak_bytes(), host.device_reserved_bytes()) == (False, None, None)


def test_torch_tells_which_attention_it_dispatched_to(tmp_path: Path) -> None:
    session = opened(BERT, tmp_path)
    assert isinstance(session, TorchSession)
    assert session.attention() == []
    session.step(session.put({"input_ids": IDS, "attention_mask": np.ones_like(IDS)}))
    assert session.facts()["attention"] == ["flash_attention_for_cpu"]


@given(st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**100), max_value=2.0**100))
def test_tf32_keeps_ten_bits_and_the_nearest(value: float) -> None:
    given_value = torch.tensor([value])
    found = round_tf32(given_value)
    assert int(found.view(torch.int32)) & 0x1FFF == 0
    assert abs(float(found) - value) <= 2**-11 * abs(value) + 2**-136
    assert torch.equal(round_tf32(found), found)


def test_tf32_leaves_what_is_not_finite() -> None:
    found = round_tf32(torch.tensor([float("inf"), float("-inf"), float("nan")]))
    assert found[0] == float("inf")
    assert found[1] == float("-inf")
    assert found[2].isnan()


def test_the_yardstick_of_tf32_is_as_coarse_as_tf32(tmp_path: Path) -> None:
    """Held to float32's error every TF32 device would fail; held to bfloat16's, a wrong one might pass."""
    oracle = prediction(opened(MLP, tmp_path, precision="fp64"))
    error = {
        precision: float(np.sqrt(np.mean((prediction(opened(MLP, tmp_path, precision=precision)) - oracle) ** 2)))
        for precision in ("fp32", "tf32", "bf16")
    }
    assert 100 * error["fp32"] < error["tf32"] < error["bf16"] / 2


def test_jax_may_take_all_of_a_device_as_torch_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XLA_PYTHON_CLIENT_MEM_FRACTION", raising=False)
    variables = Flax().env(make_cell("flax", device="cuda"), tmp_path)
    assert variables["XLA_CLIENT_MEM_FRACTION"] == "1.0"
    assert variables["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert "XLA_CLIENT_MEM_FRACTION" not in Flax().env(make_cell("flax"), tmp_path)
    monkeypatch.setenv("XLA_PYTHON_CLIENT_MEM_FRACTION", ".5")  # JAX refuses both names at once
    assert "XLA_CLIENT_MEM_FRACTION" not in Flax().env(make_cell("flax", device="cuda"), tmp_path)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("groups", [1, 2])
def test_jaxs_own_attention_is_asked_for_what_ours_computes(masked: bool, groups: int) -> None:
    """`xla` stands in for `cudnn`: shapes, scale, groups and the mask's rank are the same, the kernel is not."""
    rng = np.random.default_rng(0)
    q = rng.normal(size=(2, 5, 2 * groups, 8)).astype(np.float32)
    k, v = (rng.normal(size=(2, 7, 2, 8)).astype(np.float32) for _ in range(2))
    mask = rng.random((2, 1, 1, 5, 7)) > 0.3 if masked else None
    ours = layers.attention(q, k, v, mask)
    assert np.allclose(layers.fused_attention(q, k, v, mask, "xla"), ours, atol=1e-5)


def test_cudnns_attention_is_used_only_where_the_user_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(layers, "fused_attention", lambda q, k, v, mask, name: asked.append(name))
    q = np.ones((1, 2, 1, 4), np.float32)
    layers.attention(q, q, q)
    assert asked == []
    monkeypatch.setenv(layers.ATTENTION_VARIABLE, "cudnn")
    layers.attention(q, q, q)
    assert asked == ["cudnn"]
    assert layers.chosen_attention() == "cudnn"
    assert os.environ[layers.ATTENTION_VARIABLE] == "cudnn"
