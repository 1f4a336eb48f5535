"""What is done to a graph before OpenVINO converts it."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.backends import openvino


@given(st.data())
def test_windows_by_indices_are_pytorchs(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    axis = data.draw(st.integers(-len(sizes), len(sizes) - 1))
    window = data.draw(st.integers(1, sizes[axis]))
    step = data.draw(st.integers(1, 4))
    x = torch.randn(sizes)
    assert torch.equal(openvino._unfold(x, axis, window, step), x.unfold(axis, window, step))
