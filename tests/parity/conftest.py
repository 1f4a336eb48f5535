"""Every case of every twin, and JAX that promotes nothing unasked."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest

from tests.parity.case import Case
from tests.parity.cases import CASES


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


@pytest.fixture
def cases() -> dict[str, Case]:
    return CASES


@pytest.fixture
def strict_jax() -> Iterator[None]:
    """No dtype and no rank is promoted unasked."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        yield
