"""Weights cross to a twin and back bit for bit, and what does not fit exactly is refused in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from weighbridge.backends.flax_nnx import bridge
from weighbridge.backends.torch_nn import models as torch_models
from weighbridge.bench.core import Arrays, WeighbridgeError


def test_there_and_back_bit_for_bit(case: Any) -> None:
    back = bridge.export(case.twin())
    assert back.keys() == case.weights.keys()
    for name, weight in case.weights.items():
        assert back[name].tobytes() == weight.tobytes(), name


def test_back_into_pytorch_bit_for_bit(case: Any) -> None:
    module = torch_models.build(case.model)
    torch_models.load_state(module, bridge.export(case.twin()))
    for name, weight in torch_models.state(module).items():
        assert weight.tobytes() == case.weights[name].tobytes(), name


def test_counters_are_dropped(cases: dict[str, Any]) -> None:
    case = cases["resnet10t"]
    bridge.load(case.twin(), case.weights | {"bn1.num_batches_tracked": np.zeros((), np.int64)})


def _without_a_key(weights: Arrays) -> Arrays:
    return {name: weight for name, weight in weights.items() if name != next(iter(weights))}


def _with_a_key_more(weights: Arrays) -> Arrays:
    return weights | {"classifier.weight": np.zeros(3, np.float32)}


def _with_a_shape_changed(weights: Arrays) -> Arrays:
    name = next(iter(weights))
    return weights | {name: weights[name][..., :-1]}


@pytest.mark.parametrize("spoil", [_without_a_key, _with_a_key_more, _with_a_shape_changed])
@pytest.mark.parametrize("name", ["mlp", "resnet10t", "vit", "bert"])
def test_what_does_not_fit_is_refused(name: str, spoil: Any, cases: dict[str, Any]) -> None:
    twin, spoilt = cases[name].twin(), spoil(cases[name].weights)
    with pytest.raises(WeighbridgeError, match=r"^(the weights lack|the twin lacks|shapes differ)") as refusal:
        bridge.load(twin, spoilt)
    assert "\n" not in str(refusal.value)
    module = torch_models.build(cases[name].model)
    with pytest.raises(WeighbridgeError, match=r"^(the weights lack|the module lacks|shapes differ)") as refusal:
        torch_models.load_state(module, spoilt)
    assert "\n" not in str(refusal.value)


def test_tied_weights_are_held_once() -> None:
    from weighbridge.bench.core import ModelSpec, Seeded

    sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True}
    spec = ModelSpec(architecture="llama", config=sizes | heads, weights=Seeded(seed=0))
    module = torch_models.build(spec)
    weights = torch_models.state(module)
    assert "model.embed_tokens.weight" in weights
    assert "lm_head.weight" not in weights
    torch_models.load_state(module, weights)
