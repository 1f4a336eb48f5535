"""The GPT-2 twin generates what transformers does. All weights are random, the norms' too."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from flax import nnx
from transformers.activations import ACT2FN

from tests.conftest import make_cell
from weighbridge.backends.flax_nnx import bridge, models
from weighbridge.backends.flax_nnx.generation import GenerateSession
from weighbridge.backends.flax_nnx.models import gpt2
from weighbridge.backends.flax_nnx.placement import Parts, Placement, Policy
from weighbridge.backends.flax_nnx.twin import built, streams
from weighbridge.backends.torch_nn import models as torch_models
from weighbridge.bench.core import Arrays, ModelSpec, Precision, Seeded, WeighbridgeError

pytestmark = pytest.mark.usefixtures("strict_jax")

BASE: dict[str, Any] = {
    "vocab_size": 101, "n_positions": 120, "n_embd": 48, "n_layer": 3, "n_head": 6,
    "bos_token_id": None, "eos_token_id": None,
}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {
    "tied": BASE,
    "untied": {**BASE, "tie_word_embeddings": False, "n_inner": 70, "activation_function": "gelu"},
    "scaled": {**BASE, "scale_attn_weights": False, "scale_attn_by_inverse_layer_idx": True},
}


class Pair:
    """Both sides of one configuration."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.spec = ModelSpec(architecture="gpt2", config=config, weights=Seeded(seed=0))
        self.twin = models.twin("gpt2")

    @cached_property
    def reference(self) -> Any:
        module = torch_models.build(self.spec)
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for name, parameter in module.named_parameters():
                gain = 1.0 if parameter.ndim == 1 and name.endswith("weight") else 0.0
                parameter.copy_(0.15 * torch.randn(parameter.shape, generator=generator) + gain)
        return module

    @cached_property
    def weights(self) -> Arrays:
        return torch_models.state(self.reference)

    def loaded(self, rows_first: bool = False) -> nnx.Module:
        module = built(lambda: self.twin.build(self.spec.config, streams(0)))
        bridge.load(module, self.weights)
        if rows_first:
            assert self.twin.prepare(module, make_cell("flax", scenario="generate"))
        return module

    def generated(self, ids_BS: np.ndarray, count: int) -> np.ndarray:
        ids = torch.from_numpy(ids_BS)
        settings = {"max_new_tokens": count, "do_sample": False, "pad_token_id": 0}
        return self.reference.generate(ids, attention_mask=torch.ones_like(ids), **settings)[:, ids.shape[1] :].numpy()

    def greedy(self, module: nnx.Module, ids_BS: np.ndarray, count: int, room: int = 40) -> tuple[Any, Any]:
        assert self.twin.generation is not None
        programs = self.twin.generation

        def run(graph: Any, state: Any, ids_BS: jax.Array) -> tuple[jax.Array, jax.Array]:
            module = nnx.merge(graph, state)
            token_B, logit_B, cache = programs.prefill(module, ids_BS, room)
            tokens, logits, _, _ = programs.decode(module, token_B, cache, count - 1)
            tokens, logits = tokens[:, : count - 1], logits[:, : count - 1]
            return jnp.concatenate([token_B[:, None], tokens], 1), jnp.concatenate([logit_B[:, None], logits], 1)

        tokens, logits = jax.jit(run)(*nnx.split(module), ids_BS.astype(np.int32))
        return np.asarray(tokens), np.asarray(logits)

    def logits(self, module: nnx.Module, ids_BS: np.ndarray) -> np.ndarray:
        def run(graph: Any, state: Any, ids_BS: jax.Array) -> jax.Array:
            return self.twin.forward(nnx.merge(graph, state), {"input_ids": ids_BS})["logits"]

        return np.asarray(jax.jit(run)(*nnx.split(module), ids_BS.astype(np.int32)))


PAIRS = {name: Pair(config) for name, config in CONFIGS.items()}


@pytest.fixture(params=CONFIGS)
def pair(request: pytest.FixtureRequest) -> Pair:
    return PAIRS[request.param]


def prompt(batch: int, count: int) -> np.ndarray:
    return np.random.default_rng(batch).integers(3, BASE["vocab_size"], (batch, count))


@pytest.mark.parametrize(("batch", "rows_first"), [(2, False), (2, True), (9, True)])
def test_greedy_tokens_are_the_references(pair: Pair, batch: int, rows_first: bool) -> None:
    tokens, _ = pair.greedy(pair.loaded(rows_first), prompt(batch, 11), 21)
    assert len(np.unique(tokens)) > batch
    np.testing.assert_array_equal(tokens, pair.generated(prompt(batch, 11), 21))


def test_the_cache_changes_nothing(pair: Pair) -> None:
    ids_BS, module = prompt(2, 7), pair.loaded()
    tokens, logits = pair.greedy(module, ids_BS, 13)
    again = pair.logits(module, np.concatenate([ids_BS, tokens], 1)[:, :-1])[:, 6:]
    np.testing.assert_array_equal(tokens, again.argmax(-1))
    np.testing.assert_allclose(logits, again.max(-1), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_stretches_whose_cache_grows_follow_a_text(pair: Pair, precision: Precision) -> None:
    """Through the session that is weighed: 70 tokens do not fit the first room."""
    ids_BS, text_BN = prompt(2, 9), pair.generated(prompt(2, 9), 70)
    found = session(pair, precision)
    batch = {"input_ids": ids_BS, "new_tokens": np.asarray(70), "follow": text_BN}
    y = found.to_host(found.step(found.to_device(batch)))
    assert len(found.proving) > 2
    whole = torch.from_numpy(np.concatenate([ids_BS, text_BN], 1)[:, :-1])
    with torch.inference_mode():
        expected = torch_models.forward(pair.spec)(pair.reference, {"input_ids": whole})["logits"].numpy()[:, 8:]
    wanted = np.take_along_axis(expected, text_BN[..., None], -1)[..., 0]
    np.testing.assert_allclose(y["logit"], wanted, rtol=1e-4, atol=1e-4 if precision == "fp32" else 0.15)
    if precision == "fp32":
        np.testing.assert_array_equal(y["tokens"], text_BN)


def session(pair: Pair, precision: Precision) -> GenerateSession:
    cell = make_cell("flax", scenario="generate", precision=precision)
    parts = Parts(pair.loaded(rows_first=True), Policy.of(cell), Placement(jax.devices("cpu")[:1]))
    return GenerateSession(pair.twin, parts, cell)


def test_weights_laid_anew_change_no_logits(pair: Pair) -> None:
    plain, rows = (pair.logits(pair.loaded(rows_first), prompt(3, 17)) for rows_first in (False, True))
    np.testing.assert_allclose(plain, rows, rtol=1e-4, atol=1e-5)


def test_inputs_longer_than_the_table_of_positions_are_refused() -> None:
    short = Pair({**BASE, "n_positions": 16})
    assert np.isfinite(short.logits(short.loaded(), prompt(1, 16))).all()
    with pytest.raises(WeighbridgeError, match="n_positions 16"):
        short.logits(short.loaded(), prompt(1, 17))


def test_what_is_decoded_beyond_the_table_of_positions_is_no_number() -> None:
    """The table's last row is fed with the tenth token of six and ten; what it says is the eleventh's logit."""
    short = Pair({**BASE, "n_positions": 16})
    _, logits = short.greedy(short.loaded(), prompt(2, 6), 20)
    assert np.isfinite(logits[:, :11]).all()
    assert np.isnan(logits[:, 11:]).all()


@pytest.mark.parametrize("name", gpt2.ACTIVATIONS)
def test_activations_are_transformers(name: str) -> None:
    x = np.linspace(-6, 6, 101, dtype=np.float32)
    expected = ACT2FN[name](torch.from_numpy(x).double()).numpy()
    np.testing.assert_allclose(gpt2.ACTIVATIONS[name](jnp.asarray(x)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"activation_function": "mish"}, "activation_function .* not mish"),
        ({"add_cross_attention": True}, "add_cross_attention"),
        ({"n_head": 5}, "n_head"),
        ({"rope_theta": 1e4}, "rope_theta"),
    ],
)
def test_what_the_twin_does_not_do_is_refused(change: dict[str, Any], named: str) -> None:
    with pytest.raises(WeighbridgeError, match=named) as refusal:
        models.twin("gpt2").build({**BASE, **change}, nnx.Rngs(0))
    assert "\n" not in str(refusal.value)
