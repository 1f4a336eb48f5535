"""Mistakes that ports of GPT-2 make are caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import pytest

from backends.flax_nnx import models
from backends.flax_nnx.models.gpt2 import MUTANTS
from backends.flax_nnx.placement import Parts, Placement, Policy
from backends.flax_nnx.session import InferSession
from bench.measure import parity
from tests.conftest import make_cell

pytestmark = pytest.mark.usefixtures("strict_jax")

OF_LAYER_SCALES = [name for name in MUTANTS if "layer index" in name]
OF_ALL = [name for name in MUTANTS if name not in OF_LAYER_SCALES]


def passes(case: Any, mutate: Callable[[Any], None]) -> bool:
    module, cell = case.twin(), make_cell("flax")
    mutate(module)
    parts = Parts(module, Policy.of(cell), Placement(jax.devices("cpu")[:1]))
    session = InferSession(models.twin("gpt2"), parts, cell)
    outputs = session.to_host(session.step(session.to_device(case.inputs)))
    return parity.judge(outputs, case.reference, case.oracle, "", "fp32").passed


@pytest.mark.parametrize("name", ["gpt2", "gpt2-inverse"])
def test_without_a_mistake_it_passes(name: str, cases: dict[str, Any]) -> None:
    assert passes(cases[name], lambda _: None)


@pytest.mark.parametrize("mistake", OF_ALL)
def test_a_mistake_is_caught(mistake: str, cases: dict[str, Any]) -> None:
    assert not passes(cases["gpt2"], MUTANTS[mistake])


@pytest.mark.parametrize("mistake", OF_LAYER_SCALES)
def test_a_mistake_in_the_scales_of_layers_is_caught(mistake: str, cases: dict[str, Any]) -> None:
    assert not passes(cases["gpt2-inverse"], MUTANTS[mistake])
