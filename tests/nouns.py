"""Tasks and backends themselves, by name: what the parent of a run never holds."""

from __future__ import annotations

import os

from weighbridge.bench.core import Backend, Reference, Task
from weighbridge.bench.run import registry

APART = ("torchax",)
"""Backends whose import changes torch for the whole process: tests/contract/test_apart.py gives each one of its own."""
VARIABLE = "WEIGHBRIDGE_TESTED_APART"
"""Names the one that this process is for."""


def backends() -> dict[str, Backend]:
    modules = registry.own_modules(registry.BACKENDS).values()
    every = {each.name: each for module in modules for each in registry.backends_of(module)}
    left_out = {*APART} - {os.environ.get(VARIABLE)}
    return {name: each for name, each in every.items() if name not in left_out}


def backend(name: str) -> Backend:
    return backends()[name]


def reference(name: str) -> Reference:
    found = backend(name)
    assert isinstance(found, Reference)
    return found


def tasks() -> dict[str, Task]:
    modules = registry.own_modules(registry.TASKS).values()
    return {each.name: each for module in modules for each in registry.tasks_of(module)}


def task(name: str) -> Task:
    return tasks()[name]
