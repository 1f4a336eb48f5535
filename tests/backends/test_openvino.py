"""What is done to a graph before OpenVINO converts it, and steps that are under way at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from tests import nouns
from tests.conftest import make_cell
from weighbridge.backends import openvino
from weighbridge.bench.core import ModelSpec, Seeded


@given(st.data())
def test_windows_by_indices_are_pytorchs(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    axis = data.draw(st.integers(-len(sizes), len(sizes) - 1))
    window = data.draw(st.integers(1, sizes[axis]))
    step = data.draw(st.integers(1, 4))
    x = torch.randn(sizes)
    assert torch.equal(openvino._unfold(x, axis, window, step), x.unfold(axis, window, step))


MLP = ModelSpec(
    architecture="mlp", config={"in_features": 5, "hidden": [64, 64], "out_features": 3}, weights=Seeded(seed=3)
)


def test_steps_that_are_under_way_at_once_give_each_its_own_outputs(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    save_file(nouns.reference("torch").weights(MLP, {}, None), weights)
    draw = np.random.default_rng(0)
    batches = [{"features": draw.normal(size=(64, 5)).astype(np.float32)} for _ in range(7)]
    one, many = (
        openvino.OpenVino().open(MLP, weights, make_cell("openvino", options=options))
        for options in ((), (("hint", "throughput"),))
    )
    found = [many.step(x) for x in map(many.to_device, batches)]
    many.sync(found[-1])
    for batch, y in zip(batches, found, strict=True):
        expected = one.step(one.to_device(batch))
        np.testing.assert_allclose(
            many.to_host(y)["prediction"], one.to_host(expected)["prediction"], rtol=1e-5, atol=1e-6
        )
    assert many.facts()["requests"] >= many.facts()["streams"] >= 1


def test_tokens_are_not_generated_several_steps_at_once() -> None:
    cell = make_cell("openvino", scenario="generate", options=(("hint", "throughput"),))
    assert "leave out -O hint=throughput" in str(openvino.OpenVino().why_not(cell))
    assert openvino.OpenVino().why_not(make_cell("openvino", scenario="generate")) is None
