"""`bench` names no task, no backend and no framework: the import contracts see modules, and not what a text says."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import nouns
from weighbridge import bench

ROOT = Path(str(bench.__file__)).parent
FRAMEWORKS = {"torch", "torchvision", "jax", "jaxlib", "flax", "optax", "timm", "transformers", "triton", "onnxruntime"}
WORDS = {"work", "null", "fake"}
"""Backends for tests and calibration whose names are words."""


def texts(source: str) -> Iterator[str]:
    """The string constants of a module that are no docstrings."""
    tree = ast.parse(source)
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node.value


def test_no_text_of_bench_names_a_task_a_backend_or_a_framework() -> None:
    names = ({*nouns.backends(), *nouns.tasks()} | FRAMEWORKS) - WORDS
    told = {
        f"{path.relative_to(ROOT)}: {text[:60]!r}"
        for path in ROOT.rglob("*.py")
        for text in texts(path.read_text(encoding="utf-8"))
        if names & set(re.findall(r"[\w-]+", text)) or text in WORDS
    }
    assert told == set()


@pytest.mark.parametrize("source", ['x = "flax"', 'f("type: pip install torch")', 'x: str = "semantic-search,flax"'])
def test_a_name_in_a_text_is_seen(source: str) -> None:
    assert [text for text in texts(source) if re.search("flax|torch|semantic-search", text)]


def test_a_docstring_may_name_one_as_an_example() -> None:
    assert list(texts('"""As torch does."""\nx = 1\n"""Of flax."""')) == []
