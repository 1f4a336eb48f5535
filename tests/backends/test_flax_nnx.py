"""The Flax backend through the Session API, on models of a few kilobytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.conftest import make_cell
from weighbridge.backends.flax_nnx import Flax, effective
from weighbridge.backends.flax_nnx.generation import ROOM, room_for, stretches
from weighbridge.backends.flax_nnx.layers import attending
from weighbridge.backends.flax_nnx.session import FlaxSession
from weighbridge.backends.torch_nn.training import seeded
from weighbridge.bench.core import Arrays, Cell, Device, ModelSpec, Precision, Seeded, Way

MLP = ModelSpec(
    architecture="mlp", config={"in_features": 5, "hidden": [7, 6], "out_features": 1}, weights=Seeded(seed=0)
)
LLAMA = ModelSpec(
    architecture="llama",
    config={
        "vocab_size": 53,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "tie_word_embeddings": True,
    },
    weights=Seeded(seed=0),
)
BERT = ModelSpec(
    architecture="bert",
    config={
        "vocab_size": 60, "hidden_size": 16, "num_attention_heads": 2,
        "intermediate_size": 24, "num_hidden_layers": 1,
    },
    weights=Seeded(seed=0),
)  # fmt: skip
FEATURES: Arrays = {"features": np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)}
PROMPT = np.random.default_rng(0).integers(3, 53, (2, 9))


def flax_cell(scenario: Way, precision: Precision = "fp32") -> Cell:
    return make_cell("flax", scenario=scenario, precision=precision)


def opened(model: ModelSpec, folder: Path, scenario: Way = "infer", precision: Precision = "fp32") -> FlaxSession:
    weights = folder / "weights.safetensors"
    save_file(seeded(model, 5), weights)
    session = Flax().open(model, weights, flax_cell(scenario, precision))
    assert isinstance(session, FlaxSession)
    return session


def result(session: FlaxSession, batch: Arrays) -> Arrays:
    y = session.step(session.to_device(batch))
    session.sync(y)
    return session.to_host(y)


def request(count: int) -> Arrays:
    return {"input_ids": PROMPT, "new_tokens": np.array(count)}


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_an_inference_gives_named_float32(tmp_path: Path, precision: Precision) -> None:
    outputs = result(opened(MLP, tmp_path, precision=precision), FEATURES)
    assert {name: (array.shape, array.dtype) for name, array in outputs.items()} == {"prediction": ((4,), np.float32)}
    assert np.isfinite(outputs["prediction"]).all()


def test_inference_of_llama_gives_logits(tmp_path: Path) -> None:
    assert result(opened(LLAMA, tmp_path), {"input_ids": PROMPT})["logits"].shape == (2, 9, 53)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_generation_begins_with_the_first_token_alone(tmp_path: Path, precision: Precision) -> None:
    session = opened(LLAMA, tmp_path, "generate", precision)
    whole, first = result(session, request(6)), result(session, request(1))
    assert whole["tokens"].shape == whole["logit"].shape == (2, 6)
    assert (whole["tokens"].dtype, whole["logit"].dtype) == (np.int64, np.float32)
    np.testing.assert_array_equal(whole["tokens"][:, :1], first["tokens"])
    np.testing.assert_array_equal(whole["logit"][:, :1], first["logit"])


def test_a_shape_is_compiled_once(tmp_path: Path) -> None:
    session = opened(MLP, tmp_path)
    for _ in range(2):
        result(session, FEATURES)
    assert session.programs() == 1
    result(session, {"features": FEATURES["features"][:3]})
    assert session.programs() == 2


def test_programs_do_not_depend_on_how_many_tokens_are_asked_for(tmp_path: Path) -> None:
    session = opened(LLAMA, tmp_path, "generate")
    for count in (30, 1, 50, 2, 17):
        assert result(session, request(count))["tokens"].shape == (2, count)
    assert sorted(session.compiled) == [("decode", 2, 64), ("prefill", (2, 9), 64)]


def test_a_cache_grows_with_what_fills_it(tmp_path: Path) -> None:
    """A longer request begins with the shorter one's tokens; each stretch's room is a rung of the ladder."""
    session = opened(LLAMA, tmp_path, "generate")
    short, long = result(session, request(20)), result(session, request(150))
    assert session.facts()["cache_rooms"] == [64, 128, 192]
    np.testing.assert_array_equal(long["tokens"][:, :20], short["tokens"])
    programs = session.programs()
    result(session, request(140))
    assert session.programs() == programs


@pytest.mark.parametrize(("prompt", "tokens"), [(1, 1), (9, 2), (64, 33), (63, 130), (64, 961), (200, 400)])
def test_stretches_hold_what_is_asked_for_and_little_more(prompt: int, tokens: int) -> None:
    plan, filled = stretches(prompt, tokens), prompt
    assert sum(part.steps for part in plan) == tokens - 1
    for part in plan:
        filled += part.steps
        assert filled <= part.room == room_for(part.room)
    read = sum(part.room * part.steps for part in plan)
    assert read <= 1.4 * sum(range(prompt + 1, prompt + tokens)) + ROOM * tokens


@pytest.mark.parametrize(("model", "scenario", "batch"), [(MLP, "infer", FEATURES), (LLAMA, "generate", request(3))])
def test_facts_are_json(tmp_path: Path, model: ModelSpec, scenario: Way, batch: Arrays) -> None:
    session = opened(model, tmp_path, scenario)
    result(session, batch)
    facts: dict[str, Any] = json.loads(json.dumps(session.facts()))
    assert facts["platform"] == "cpu"
    assert facts["threads"] >= 1
    assert all(program["argument_bytes"] > 0 for program in facts["memory_analysis"])
    assert session.device_peak_bytes() is None
    session.close()


@pytest.mark.parametrize(
    ("change", "word"),
    [({"precision": "tf32"}, "NVIDIA"), ({"scenario": "train"}, "train"), ({"precision": "int8"}, "int8")],
)
def test_what_cannot_be_done_says_why(change: dict[str, Any], word: str) -> None:
    reason = Flax().why_not(make_cell("flax", **change))
    assert reason is not None
    assert word in reason


def test_everything_is_cached_and_nothing_is_grabbed(tmp_path: Path) -> None:
    env = Flax().env(flax_cell("infer"), tmp_path)
    assert env["JAX_COMPILATION_CACHE_DIR"] == str(tmp_path)
    assert env["JAX_DEFAULT_MATMUL_PRECISION"] == "highest"
    assert env["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"


def test_a_batch_in_another_order_is_the_same_program(tmp_path: Path) -> None:
    session, rng = opened(BERT, tmp_path), np.random.default_rng(0)
    batch = {"input_ids": rng.integers(0, 60, (2, 7)), "attention_mask": np.ones((2, 7), np.int64)}
    for names in (list(batch), list(reversed(batch))):
        x = session.to_device({name: batch[name] for name in names})
        session.sync(session.step(x))
        cost = session.cost(x)
        assert cost is not None
        assert cost.flops > 0
    assert session.programs() == 1


def test_cost_is_that_of_the_batch_it_is_asked_of(tmp_path: Path) -> None:
    session = opened(MLP, tmp_path)
    asked = [session.to_device({"features": FEATURES["features"][:rows]}) for rows in (1, 4)]
    for x in asked:
        session.sync(session.step(x))
    few, many = (session.cost(x) for x in asked)
    assert few is not None
    assert many is not None
    assert many.flops > few.flops


@pytest.mark.parametrize(("model", "scenario"), [(MLP, "infer"), (LLAMA, "generate")])
def test_weights_are_placed_once_and_narrow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ModelSpec, scenario: Way
) -> None:
    import jax

    placed: list[Any] = []
    place = jax.device_put
    monkeypatch.setattr(jax, "device_put", lambda array, device: placed.append(array) or place(array, device))
    before = {id(array) for array in jax.live_arrays()}
    session = opened(model, tmp_path, scenario, "bf16")
    alive = [array for array in jax.live_arrays() if id(array) not in before]
    assert {str(array.dtype) for array in alive} == {"bfloat16"}
    held = sum(weight.size for weight in seeded(model, 5).values()) * 2
    assert sum(array.nbytes for array in placed) == sum(array.nbytes for array in alive) == held
    session.close()


def test_what_need_not_be_copied_is_not(tmp_path: Path) -> None:
    session = opened(MLP, tmp_path)
    x = session.placed(FEATURES["features"])
    assert np.shares_memory(session.to_host({"prediction": x})["prediction"], np.asarray(x))
    counted = session.to_host({"label": session.placed(np.array([3, 4]))})["label"]
    assert counted.dtype == np.int32


@pytest.mark.parametrize(
    ("flags", "on"),
    [
        ("", True),
        ("--xla_gpu_autotune_level=1", True),
        ("--xla_gpu_enable_command_buffer=", False),
        ("--xla_gpu_enable_command_buffer=''", False),
        ("--xla_gpu_enable_command_buffer=FUSION,CUBLAS", True),
        ("--xla_gpu_enable_command_buffer= --xla_gpu_enable_command_buffer=FUSION", True),
    ],
)
def test_command_buffers_are_off_only_where_none_is_named(flags: str, on: bool) -> None:
    assert effective.command_buffers(flags) is on


@pytest.mark.parametrize(
    ("device", "flags", "told"),
    [("cuda", "", "allowed"), ("cuda", "--xla_gpu_enable_command_buffer=", False), ("cpu", "", False)],
)
def test_that_graphs_were_recorded_is_never_claimed(
    device: Device, flags: str, told: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = opened(MLP, tmp_path)
    session.cell = msgspec.structs.replace(session.cell, device=device)
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert session.facts()["cuda_graphs"] == told


def test_threads_are_counted_and_not_supposed(tmp_path: Path) -> None:
    for number, name in enumerate(["python", "tf_XLAEigen", "tf_XLAEigen", "grpc"]):
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "comm").write_text(f"{name}\n")
    assert effective.pool_threads(tmp_path) == 2
    assert effective.pool_threads(tmp_path / "0") is None
    assert effective.pool_threads(tmp_path / "nowhere") is None


def test_a_process_on_one_cpu_says_one_thread(tmp_path: Path) -> None:
    code = (
        "import jax; jax.devices()\n"
        "from weighbridge.backends.flax_nnx import effective; print(effective.threads('cpu'))"
    )
    one = str(min(os.sched_getaffinity(0)))
    said = subprocess.run(
        ["taskset", "-c", one, sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "1"


def test_facts_tell_what_was_compiled_for_and_laid_anew(tmp_path: Path) -> None:
    session = opened(MLP, tmp_path)
    result(session, FEATURES)
    facts = session.facts()
    assert facts["prepacked"] == []
    wide = set(facts["jaxlib_target"].split())
    assert "avx512f" not in wide or "avx512f" in Path("/proc/cpuinfo").read_text()
    assert wide
    assert "q, k and v joined" in opened(LLAMA, tmp_path, "generate").facts()["prepacked"]


def test_attention_says_what_was_traced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attending, "traced", set())
    session = opened(LLAMA, tmp_path)
    assert session.facts()["attention"] == []
    result(session, {"input_ids": PROMPT})
    assert session.facts()["attention"] == ["einsum, float32 accumulation"]
