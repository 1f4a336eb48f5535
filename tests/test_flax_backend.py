"""The Flax backend through the Session API, on models of a few kilobytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from backends.flax_nnx.backend import Flax, FlaxSession
from backends.torch_nn import models as torch_models
from bench.core import Arrays, Cell, ModelSpec, Precision, Scenario, Seeded
from tests.conftest import make_cell

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
FEATURES: Arrays = {"features": np.random.default_rng(0).normal(size=(4, 5)).astype(np.float32)}
PROMPT = np.random.default_rng(0).integers(3, 53, (2, 9))


def flax_cell(scenario: Scenario, precision: Precision = "fp32") -> Cell:
    return make_cell("flax", scenario=scenario, precision=precision)


def opened(model: ModelSpec, folder: Path, scenario: Scenario = "infer", precision: Precision = "fp32") -> FlaxSession:
    weights = folder / "weights.safetensors"
    save_file(torch_models.state(torch_models.build(model)), weights)
    session = Flax().open(model, weights, flax_cell(scenario, precision))
    assert isinstance(session, FlaxSession)
    return session


def result(session: FlaxSession, batch: Arrays) -> Arrays:
    y = session.step(session.put(batch))
    session.sync(y)
    return session.get(y)


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


def test_one_prefill_serves_long_and_short_requests(tmp_path: Path) -> None:
    session = opened(LLAMA, tmp_path, "generate")
    for count in (60, 1, 60, 2, 1):
        result(session, request(count))
    kinds = sorted(key[0] for key in session.compiled)  # type: ignore[index]
    assert kinds == ["decode", "decode", "prefill"]


@pytest.mark.parametrize(("model", "scenario", "batch"), [(MLP, "infer", FEATURES), (LLAMA, "generate", request(3))])
def test_facts_are_json(tmp_path: Path, model: ModelSpec, scenario: Scenario, batch: Arrays) -> None:
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
