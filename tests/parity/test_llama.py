"""The Llama twin against transformers, in float64 and in tokens. All weights are random, the norms' too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
import pytest
import torch
from flax import nnx

from tests.conftest import make_cell
from weighbridge.backends.flax_nnx import bridge, models
from weighbridge.backends.torch_nn import models as torch_models
from weighbridge.bench.core import Arrays, ModelSpec, Seeded, WeighbridgeError

BASE: dict[str, Any] = {
    "vocab_size": 101,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 96,
    "rms_norm_eps": 1e-5,
    "eos_token_id": None,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "tied": {**BASE, "rope_parameters": {"rope_theta": 5000.0, "rope_type": "default"}, "tie_word_embeddings": True},
    "untied": {**BASE, "rope_theta": 300.0, "head_dim": 16, "attention_bias": True, "mlp_bias": True},
}


class Pair:
    """Both sides of one configuration."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.spec = ModelSpec(architecture="llama", config=config, weights=Seeded(seed=0))
        self.reference = torch_models.build(self.spec)
        randomise(self.reference)
        self.weights = torch_models.state(self.reference)
        self.twin = models.load("llama")
        self.module = self.loaded()

    def loaded(self, rows_first: bool = False) -> nnx.Module:
        module = nnx.eval_shape(lambda: self.twin.build(self.spec.config, nnx.Rngs(0)))
        bridge.load(module, self.weights)
        if rows_first:
            assert self.twin.prepare(module, make_cell("flax", scenario="generate"))
        return module

    def reference_logits(self, ids_BS: np.ndarray, dtype: torch.dtype) -> np.ndarray:
        module = torch_models.build(self.spec).to(dtype)
        torch_models.load_state(module, self.weights)
        with torch.inference_mode():
            return torch_models.forward(self.spec)(module, {"input_ids": torch.from_numpy(ids_BS)})["logits"].numpy()

    def generated(self, ids_BS: np.ndarray, count: int) -> np.ndarray:
        ids = torch.from_numpy(ids_BS)
        settings = {"max_new_tokens": count, "do_sample": False, "pad_token_id": 0}
        return self.reference.generate(ids, attention_mask=torch.ones_like(ids), **settings)[:, ids.shape[1] :].numpy()


def randomise(module: torch.nn.Module) -> None:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in module.parameters():
            noise = 0.15 * torch.randn(parameter.shape, generator=generator)
            parameter.copy_(noise + (1.0 if parameter.ndim == 1 else 0.0))


def prompt(batch: int, count: int) -> np.ndarray:
    return np.random.default_rng(batch).integers(3, BASE["vocab_size"], (batch, count))


@pytest.fixture(scope="module", params=CONFIGS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with jax.default_matmul_precision("highest"):
        yield Pair(CONFIGS[request.param])


def rmse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(a.astype(np.float64) - b))))


@pytest.mark.parametrize(("batch", "count"), [(1, 3), (3, 37)])
def test_logits_are_as_near_to_float64_as_the_references(pair: Pair, batch: int, count: int) -> None:
    ids_BS = prompt(batch, count)
    oracle = pair.reference_logits(ids_BS, torch.float64)
    limit = 2 * rmse(pair.reference_logits(ids_BS, torch.float32), oracle) + 1e-7 * float(np.abs(oracle).max())
    logits = np.asarray(jax.jit(forward, static_argnums=0)(pair.twin, *nnx.split(pair.module), ids_BS.astype(np.int32)))
    assert rmse(logits, oracle) <= limit
    assert (logits.argmax(-1) == oracle.argmax(-1)).all()


def forward(twin: Any, graph: Any, state: Any, ids_BS: jax.Array) -> jax.Array:
    return twin.forward(nnx.merge(graph, state), {"input_ids": ids_BS})["logits"]


@pytest.mark.parametrize(("batch", "rows_first"), [(2, False), (2, True), (9, True)])
def test_greedy_tokens_are_the_references(pair: Pair, batch: int, rows_first: bool) -> None:
    tokens, _ = greedy(pair, pair.loaded(rows_first), prompt(batch, 11), 21)
    np.testing.assert_array_equal(tokens, pair.generated(prompt(batch, 11), 21))


def test_the_cache_changes_nothing(pair: Pair) -> None:
    ids_BS = prompt(2, 7)
    tokens, logits = greedy(pair, pair.module, ids_BS, 13)
    whole = np.concatenate([ids_BS, tokens], 1)[:, :-1].astype(np.int32)
    again = np.asarray(forward(pair.twin, *nnx.split(pair.module), jax.numpy.asarray(whole)))[:, 6:]
    np.testing.assert_array_equal(tokens, again.argmax(-1))
    np.testing.assert_allclose(logits, again.max(-1), rtol=2e-5, atol=2e-5)


def greedy(pair: Pair, module: nnx.Module, ids_BS: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    def run(graph: Any, state: Any, ids_BS: jax.Array) -> tuple[jax.Array, jax.Array]:
        module = nnx.merge(graph, state)
        token_B, logit_B, cache = pair.twin.prefill(module, ids_BS, 40)
        tokens, logits, _, _ = pair.twin.decode(module, token_B, cache, count - 1)
        tokens, logits = tokens[:, : count - 1], logits[:, : count - 1]
        join = jax.numpy.concatenate
        return join([token_B[:, None], tokens], 1), join([logit_B[:, None], logits], 1)

    tokens, logits = jax.jit(run)(*nnx.split(module), ids_BS.astype(np.int32))
    return np.asarray(tokens), np.asarray(logits)


def test_weights_go_there_and_back_bit_for_bit(pair: Pair) -> None:
    returned: Arrays = bridge.export(pair.module)
    assert returned.keys() == pair.weights.keys()
    assert all(np.array_equal(returned[name], pair.weights[name]) for name in returned)


@pytest.mark.parametrize("change", [{"hidden_act": "gelu"}, {"rope_parameters": {"rope_type": "llama3"}}, {"moe": 1}])
def test_what_the_twin_does_not_do_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(WeighbridgeError):
        models.load("llama").build({**BASE, **change}, nnx.Rngs(0))
