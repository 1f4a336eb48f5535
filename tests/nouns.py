"""Tasks and backends themselves, by name: what the parent of a run never holds."""

from __future__ import annotations

from bench.core import Backend, Reference, Task
from bench.run import registry


def backends() -> dict[str, Backend]:
    modules = registry.own_modules(registry.BACKENDS).values()
    return {each.name: each for module in modules for each in registry.backends_of(module)}


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
