"""The scenarios by name. The folder is the list: a new file, or a folder with a `scenario.py`, is a new scenario."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from functools import cache, reduce
from operator import or_
from typing import Any

import msgspec

from weighbridge.bench import scenarios as folder
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.errors import unknown
from weighbridge.bench.scenarios.steps.scenario import Scenario


@cache
def scenarios() -> dict[str, Scenario]:
    """Every scenario, by name."""
    files = (info for info in pkgutil.iter_modules(folder.__path__) if info.name != "catalog")
    names = (f"{info.name}.scenario" if info.ispkg else info.name for info in files)
    modules = [importlib.import_module(f"{folder.__name__}.{name}") for name in names]
    kinds = [
        kind
        for module in modules
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Scenario) and kind.__module__ == module.__name__ and "name" in vars(kind)
    ]
    return {each.name: each for each in sorted((kind() for kind in kinds), key=lambda each: each.name)}


def scenario(name: str) -> Scenario:
    """The scenario called `name`."""
    if name not in scenarios():
        raise unknown("scenario", name, scenarios())
    return scenarios()[name]


def as_opened(cell: Cell) -> Cell:
    """A cell as backends see it: they know ways to open a model, not scenarios."""
    return msgspec.structs.replace(cell, scenario=scenario(cell.scenario).way, settings=())


def requests() -> Any:
    """The union of what any scenario's worker is asked."""
    return reduce(or_, (each.requests for each in scenarios().values()))
