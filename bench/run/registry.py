"""Finds tasks, backends and suites by name: the two folders, then entry points of other distributions.

Names come from file names, so that listing imports nothing: `image_classification.py` is `image-classification`.
A module is imported when its name is asked for, and an import that fails is the caller's failure, never a gap.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import tomllib
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files
from types import ModuleType
from typing import Any

from bench.core.backend import Backend, Reference
from bench.core.errors import WeighbridgeError, unknown
from bench.core.task import Task

BACKENDS, TASKS = "backends", "tasks"


@cache
def module_names(folder: str) -> dict[str, str]:
    """Name -> import path, of one of the two folders and of what other distributions plug into it."""
    package = importlib.import_module(folder)
    own = {info.name: f"{folder}.{info.name}" for info in pkgutil.iter_modules(package.__path__)}
    plugged = {entry.name: entry.value for entry in entry_points(group=f"weighbridge.{folder}")}
    taken = own.keys() & plugged.keys()
    if taken:
        path = plugged[min(taken)]
        raise WeighbridgeError(f"{path} takes the name {min(taken)!r} of {own[min(taken)]}; rename or uninstall it")
    return {stem.replace("_", "-"): path for stem, path in (own | plugged).items()}


@cache
def backends() -> dict[str, Backend]:
    """Every backend, by its own name. Importing them imports no framework."""
    modules = [_imported("backend", path) for path in module_names(BACKENDS).values()]
    found = [kind() for module in modules for kind in _concrete_backends(module)]
    names = [each.name for each in found]
    if doubled := sorted({name for name in names if names.count(name) > 1}):
        raise WeighbridgeError(f"two backends are called {doubled[0]!r}; uninstall the distribution of one")
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}


def _imported(kind: str, path: str) -> ModuleType:
    """A module that was found by its file must import: leaving it out would hide what was asked for."""
    try:
        return importlib.import_module(path)
    except ImportError as error:
        raise WeighbridgeError(f"{kind} module {path} cannot be imported ({error}); mend or uninstall it") from error


def _concrete_backends(module: ModuleType) -> list[type[Backend]]:
    return [
        kind
        for _, kind in inspect.getmembers(module, inspect.isclass)
        if issubclass(kind, Backend) and not inspect.isabstract(kind) and kind.__module__.startswith(module.__name__)
    ]


def backend(name: str) -> Backend:
    """The backend called `name`."""
    known = backends()
    if name not in known:
        raise unknown("backend", name, (each.name for each in known.values() if not each.hidden))
    return known[name]


def reference(name: str) -> Reference:
    """The backend called `name`, which must be one that others can be proven against."""
    found = backend(name)
    if not isinstance(found, Reference):
        raise WeighbridgeError(f"{name!r} cannot be the reference: it makes no weights")
    return found


@cache
def tasks() -> dict[str, Task]:
    """Every task, by name."""
    modules = [_imported("task", path) for path in module_names(TASKS).values()]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Task)]
    return {each.name: each for each in sorted(found, key=lambda each: each.name)}


def task(name: str) -> Task:
    """The task called `name`. Imports that task's module and no other, where the file name tells which."""
    path = module_names(TASKS).get(name)
    found = vars(_imported("task", path)).get("TASK") if path else None
    if isinstance(found, Task) and found.name == name:
        return found
    if name not in tasks():
        raise unknown("task", name, tasks())
    return tasks()[name]


def suite_names() -> list[str]:
    """The suites that can be asked for: files in `tasks/suites/`."""
    folder = files(TASKS) / "suites"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def suite(name: str) -> dict[str, Any]:
    """The suite called `name`, as its TOML file says. See `bench.run.plan` for what it may hold."""
    if name not in suite_names():
        raise unknown("suite", name, suite_names())
    return tomllib.loads((files(TASKS) / "suites" / f"{name}.toml").read_text(encoding="utf-8"))
