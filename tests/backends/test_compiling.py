"""What XLA is told beside a program, and when it is told nothing."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import pytest
from jax import lax

from weighbridge.backends.flax_nnx import compiling


@pytest.fixture(autouse=True)
def afresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    compiling.options.cache_clear()
    yield
    compiling.options.cache_clear()


def by_ynnpack(options: dict[str, str]) -> int:
    """How many of a convolution and a product, large enough for it, XLA hands to YNNPACK."""
    image, kernel, rows = jnp.ones((16, 14, 14, 64)), jnp.ones((3, 3, 64, 64)), jnp.ones((256, 256))

    def both(image: jax.Array, kernel: jax.Array, rows: jax.Array) -> tuple[jax.Array, jax.Array]:
        layout = ("NHWC", "HWIO", "NHWC")
        return lax.conv_general_dilated(image, kernel, (1, 1), "SAME", dimension_numbers=layout), rows @ rows

    text = jax.jit(both).lower(image, kernel, rows).compile(compiler_options=options).as_text()
    return text.count('"kind":"__ynn_fusion"')


def test_on_a_cpu_convolutions_alone_are_taken_from_ynnpack() -> None:
    assert by_ynnpack({}) == by_ynnpack(compiling.options("cpu")) + 1 >= 2


def test_a_device_is_told_nothing() -> None:
    assert compiling.options("cuda") == {}


def test_what_a_user_set_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XLA_FLAGS", f"--{compiling.YNNPACK}=individual_dot")
    assert compiling.options("cpu") == {}


def test_what_this_jaxlib_does_not_know_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "YNNPACK", "xla_cpu_of_another_year")
    assert compiling.options("cpu") == {}
