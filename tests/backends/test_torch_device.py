"""What torch and JAX are told on a device, as far as a host shows it. Calls into CUDA are stood in for one by one."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file
from torch import nn
from torch._dynamo.utils import counters
from torch._inductor import cudagraph_trees
from transformers import CompileConfig

from tests.conftest import make_cell
from weighbridge.backends.flax_nnx import layers
from weighbridge.backends.flax_nnx.backend import Flax
from weighbridge.backends.flax_nnx.layers import attending
from weighbridge.backends.torch_compile import CompiledSession, TorchCompile, cuda_graphs
from weighbridge.backends.torch_compile_reduce_overhead import ReplayedSession, TorchCompileReduceOverhead
from weighbridge.backends.torch_eager import TorchEager
from weighbridge.backends.torch_nn.effective import layout, libraries
from weighbridge.backends.torch_nn.loading import load
from weighbridge.backends.torch_nn.session import TorchSession
from weighbridge.backends.torch_nn.tf32 import round_tf32
from weighbridge.bench.core import Arrays, Backend, ModelSpec, Seeded, Session
from weighbridge.bench.run.worker import failure_kind

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
    return session.to_host(session.step(session.to_device(FEATURES)))["prediction"].astype(np.float64)


class Event:
    """A CUDA event that tells its number when it is recorded and when it is waited for."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def record(self) -> None:
        self.number = sum("record" in call for call in self.calls)
        self.calls.append(f"record {self.number}")

    def synchronize(self) -> None:
        self.calls.append(f"wait for {self.number}")


class Cuda:
    """Hears which of torch.cuda's functions are called, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        monkeypatch.setattr(torch.cuda, "Event", lambda: Event(self.calls))
        for name in ("synchronize", "empty_cache", "reset_peak_memory_stats"):
            monkeypatch.setattr(torch.cuda, name, lambda name=name: self.calls.append(name))
        monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: 0)
        monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda: 4096)


def test_torch_forgets_its_peaks_at_the_steady_state_and_waits_before(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)
    session = TorchSession(nn.Linear(1, 1), make_cell("torch", device="cuda"), lambda module, x: x)
    assert session.reset_peak_memory()
    assert cuda.calls == ["synchronize", "empty_cache", "reset_peak_memory_stats"]
    assert session.device_peak_bytes() is None  # 0 is not a figure
    assert session.device_reserved_bytes() == 4096


def test_a_torch_step_on_a_device_is_waited_for_and_what_is_queued_behind_it_is_not(
    monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    cuda = Cuda(monkeypatch)
    session = TorchSession(nn.Linear(1, 1), make_cell("torch", device="cuda"), lambda module, x: x)
    first, second = (session.step({"y": torch.ones(1)}) for _ in range(2))
    session.sync(first)
    session.sync(second)
    assert cuda.calls == ["record 0", "record 1", "wait for 0", "wait for 1"]
    assert session.to_host(first)["y"].tolist() == [1]


def test_a_torch_step_on_a_host_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)
    host = TorchSession(nn.Linear(1, 1), make_cell("torch"), lambda module, x: x)
    host.sync(host.step({"y": torch.ones(1)}))
    assert cuda.calls == []
    assert (host.reset_peak_memory(), host.device_peak_bytes(), host.device_reserved_bytes()) == (False, None, None)


def test_torch_tells_which_attention_it_dispatched_to(tmp_path: Path) -> None:
    session = opened(BERT, tmp_path)
    assert isinstance(session, TorchSession)
    assert session.attention() == []
    session.step(session.to_device({"input_ids": IDS, "attention_mask": np.ones_like(IDS)}))
    assert session.facts()["attention"] == ["flash_attention_for_cpu"]


@pytest.mark.parametrize(("device", "tries", "told"), [("cuda", True, True), ("cpu", False, None)])
def test_cudnn_tries_its_convolutions_on_a_device(
    device: str, tries: bool, told: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Cuda(monkeypatch)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", not tries)
    monkeypatch.setattr(torch.cuda, "get_allocator_backend", lambda: "native")
    monkeypatch.setattr(nn.Module, "to", lambda module, *args, **kwargs: module)  # there is no device to move it to
    session = opened(MLP, tmp_path, device=device)
    assert torch.backends.cudnn.benchmark == tries
    assert session.facts()["cudnn_benchmark"] == told


def test_the_layout_is_that_of_the_weights_that_have_a_choice() -> None:
    last = nn.Conv2d(2, 2, 3).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    assert layout(last) == "channels_last"
    assert layout(nn.Conv2d(2, 2, 3)) == "contiguous"
    assert layout(nn.Sequential(last, nn.Conv2d(2, 2, 3))) == "mixed"
    assert layout(nn.Linear(2, 2)) == "no 4-d weights"


CONFIG = """PyTorch built with:
  - GCC 13.3
  - Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 20240605 for Intel(R) 64 architecture applications
  - Intel(R) MKL-DNN v3.12.0 (Git Hash 80afa71049cd69a3df32adcccb623b12cd7baa22)
  - Build settings: BLAS_INFO=mkl, USE_MKL=ON
"""


def test_torchs_libraries_are_told_with_their_versions(tmp_path: Path) -> None:
    blas = "Intel(R) oneAPI Math Kernel Library Version 2024.2-Product Build 20240605"
    assert libraries(CONFIG) == {"blas": blas, "onednn": "Intel(R) MKL-DNN v3.12.0"}
    assert libraries("  - Build settings: BLAS_INFO=open, USE_MKL=OFF") == {"blas": "open", "onednn": "none"}
    assert libraries("") == {"blas": "unknown", "onednn": "none"}
    facts = opened(MLP, tmp_path).facts()
    assert facts["blas"] in torch.__config__.show()
    assert facts["onednn"] in torch.__config__.show()
    assert facts["cpu_capability"] == torch.backends.cpu.get_cpu_capability()
    assert (facts["prepacked"], facts["layout"]) == ([], "no 4-d weights")


def tree(*children: Any) -> SimpleNamespace:
    return SimpleNamespace(children={"next": list(children)})


@pytest.mark.parametrize(
    ("manager", "recorded"),
    [
        (None, 0),
        (SimpleNamespace(roots={}), 0),
        (SimpleNamespace(roots={"a": [tree(tree(), tree())], "b": [tree()]}), 4),
    ],
)
def test_cuda_graphs_are_counted_where_inductor_keeps_them(
    manager: Any, recorded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asked for them: the process's configuration says nothing of a mode that a call was given."""
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(cudagraph_trees, "get_manager", lambda device, create_if_none_exists: manager)
    monkeypatch.setitem(counters["inductor"], "cudagraph_skips", 3)
    assert cuda_graphs(make_cell("torch-compile", device="cuda")) == {
        "cuda_graphs": recorded > 0, "cuda_graphs_recorded": recorded, "cuda_graphs_skipped": 3,
    }  # fmt: skip


def test_reduce_overhead_is_for_cuda_alone_and_says_why() -> None:
    backend = TorchCompileReduceOverhead()
    assert backend.why_not(make_cell(backend.name)) == f"{backend.name} does not run on cpu; it runs on cuda"
    assert backend.why_not(make_cell(backend.name, device="cuda")) is None
    assert backend.arguments["mode"] == "reduce-overhead"
    assert TorchCompile().why_not(make_cell("torch-compile")) is None


def test_outputs_of_a_replayed_graph_outlive_the_next_replay() -> None:
    held = torch.zeros(1)  # a graph writes its outputs to the same place each time
    session = ReplayedSession(nn.Linear(1, 1), make_cell("x"), lambda module, x: {"y": held.add_(1)})
    first, second = session.step({}), session.step({})
    assert (first["y"].item(), second["y"].item()) == (1, 2)


LLAMA = ModelSpec(
    architecture="llama",
    config={
        "vocab_size": 31, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 1, "max_position_embeddings": 64, "bos_token_id": 1, "eos_token_id": 2,
        "pad_token_id": 2,
    },
    weights=Seeded(seed=4),
)  # fmt: skip


def generating(folder: Path) -> CompiledSession:
    """A session whose `generate` transformers would compile, as it does on a device; nothing is compiled by us."""
    weights = folder / "llama.safetensors"
    save_file(TorchEager().weights(LLAMA, {}, None), weights)
    cell = make_cell("torch-compile", scenario="generate")
    module = load(LLAMA, weights, cell)
    module.generation_config.compile_config = CompileConfig(backend="eager", mode=None)  # type: ignore[arg-type]
    module.generation_config.compile_config._compile_all_devices = True  # type: ignore[assignment]
    return CompiledSession(module, cell, None)


def test_generation_is_compiled_once_by_the_backend_and_a_fact_says_where_it_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = generating(tmp_path)
    x = session.to_device({"input_ids": IDS, "new_tokens": np.asarray(3)})
    tokens = session.to_host(session.step(x))["tokens"]
    assert session.facts()["compiled_by"] == "the backend"
    ours = session.generate_options
    monkeypatch.setattr(session, "generate_options", lambda x: {**ours(x), "disable_compile": False})
    assert session.to_host(session.step(x))["tokens"].tolist() == tokens.tolist()
    assert session.facts()["compiled_by"] == "transformers"


def test_a_static_cache_is_kept_across_calls_emptied_and_replaced_by_a_larger_one(tmp_path: Path) -> None:
    session = generating(tmp_path)
    x = session.to_device({"input_ids": IDS, "new_tokens": np.asarray(4)})
    expected = session.to_host(session.step(x))
    (cache,) = session.caches.held.values()
    keys = cache.layers[0].keys
    address = keys.data_ptr()
    assert keys.shape[2] == 12
    for tokens in (1, 4):
        found = session.to_host(session.step({**x, "new_tokens": tokens}))
        assert np.array_equal(found["logit"], expected["logit"][:, :tokens])
        assert session.caches.held[2].layers[0].keys.data_ptr() == address
    session.step({**x, "new_tokens": 5})
    assert session.caches.held[2].layers[0].keys.shape[2] == 13


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
    monkeypatch.setattr(attending, "fused_attention", lambda q, k, v, mask, name, bias: asked.append(name))
    q = np.ones((1, 2, 1, 4), np.float32)
    layers.attention(q, q, q)
    assert asked == []
    monkeypatch.setenv(layers.ATTENTION_VARIABLE, "cudnn")
    layers.attention(q, q, q)
    assert asked == ["cudnn"]
    assert layers.chosen_attention() == "cudnn"
    assert os.environ[layers.ATTENTION_VARIABLE] == "cudnn"


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        (TorchEager, "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 139.80 GiB"),
        (TorchEager, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        (TorchEager, "CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation' in"),
        (TorchCompile, "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        (Flax, "RESOURCE_EXHAUSTED: Out of memory while trying to allocate 18.38MiB with allocator GPU_0_bfc"),
    ],
)
def test_what_a_full_h200_said_is_known_as_a_full_memory(backend: type[Backend], said: str) -> None:
    """Word for word: results/nvidia-h200-x1/repeat/checks/oom.jsonl, docs/devices.md."""
    assert failure_kind(RuntimeError(said), backend.oom_signs) == "oom"


def test_a_card_that_jax_cannot_open_may_be_broken_and_is_no_full_memory() -> None:
    said = "Unable to initialize backend 'cuda': INTERNAL: no supported devices found for platform CUDA"
    assert failure_kind(RuntimeError(said), Flax.oom_signs) == "crashed"
