"""The rule catches the mistakes that ports make (measuring rule 21): those that each twin's file lists, one by one.

A mistake is put into the loaded twin of one case, which is then judged through the session that is weighed.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import pytest

from tests.parity.cases import case_for
from weighbridge.backends.flax_nnx import models

MUTANTS = [(twin, mutant) for twin in models.names() for mutant in models.twin(twin).mutants]
WITHOUT: frozenset[str] = frozenset()
"""Twins that have none yet."""


@pytest.fixture(autouse=True)
def compiled_in_haste(strict_jax: None) -> Iterator[None]:
    """A mistake shows in a program that was hardly optimised, too, and there are well over a hundred to compile."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize(("twin", "mutant"), MUTANTS)
def test_a_mistake_is_caught(twin: str, mutant: str) -> None:
    assert not case_for(twin, mutant).judge(models.twin(twin).mutants[mutant]).passed


@pytest.mark.parametrize("twin", models.names())
def test_no_mistake_is_seen_where_none_was_made(twin: str) -> None:
    """In haste, too: or every mutant above would be caught for nothing."""
    assert case_for(twin, "").judge().passed


@pytest.mark.parametrize("twin", models.names())
def test_every_twin_has_mistakes_to_catch(twin: str) -> None:
    assert len(models.twin(twin).mutants) >= 4 or twin in WITHOUT
