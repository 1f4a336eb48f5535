"""Finds tasks, backends and suites by name: the two folders, then entry points of other distributions.

Names of modules come from file names, so that listing them imports nothing: `image_classification.py` is
`image-classification`. What a module holds is read in a child process alone (`bench.run.describe`, `bench.run.worker`).
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import sys
import tomllib
from importlib.metadata import entry_points
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Literal

from weighbridge.bench.core.backend import Backend, Reference
from weighbridge.bench.core.child import PACKAGE
from weighbridge.bench.core.errors import WeighbridgeError, unknown
from weighbridge.bench.core.task import Task

Folder = Literal["backends", "tasks"]
BACKENDS: Folder = "backends"
TASKS: Folder = "tasks"


def own_modules(folder: Folder) -> dict[str, str]:
    """Name -> import path, of one of the two folders. What begins with an underscore is a part of others."""
    package = importlib.import_module(f"{PACKAGE}.{folder}")
    names = [info.name for info in pkgutil.iter_modules(package.__path__)]
    return {_name(name): f"{package.__name__}.{name}" for name in names if not name.startswith("_")}


def plugged_modules(folder: Folder) -> list[tuple[str, str]]:
    """Name and import path of what other distributions plug in; two of them may claim one name."""
    return [(_name(entry.name), entry.value) for entry in entry_points(group=f"weighbridge.{folder}")]


def _name(stem: str) -> str:
    return stem.replace("_", "-")


def imported(module: str) -> ModuleType:
    """The module at an import path, or of a file, whose folder then serves the imports that nothing else does."""
    return _from_file(Path(module)) if module.endswith(".py") else importlib.import_module(module)


def _from_file(path: Path) -> ModuleType:
    name = f"weighbridge_file_{path.stem}"
    if name in sys.modules and sys.modules[name].__file__ == str(path):
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    sys.path.append(str(path.parent))
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def backends_of(module: str) -> list[Backend]:
    """The backends that a module defines. Importing them imports no framework."""
    found = imported(module)
    kinds = (kind for _, kind in inspect.getmembers(found, inspect.isclass) if issubclass(kind, Backend))
    return [kind() for kind in kinds if not inspect.isabstract(kind) and kind.__module__.startswith(found.__name__)]


def tasks_of(module: str) -> list[Task]:
    """The tasks that a module defines."""
    return [value for value in vars(imported(module)).values() if isinstance(value, Task)]


def backend(module: str, name: str) -> Backend:
    """The backend called `name` of a module."""
    return next(each for each in backends_of(module) if each.name == name)


def reference(module: str, name: str) -> Reference:
    """The backend called `name` of a module, which others can be proven against."""
    found = backend(module, name)
    assert isinstance(found, Reference)
    return found


def task(module: str, name: str) -> Task:
    """The task called `name` of a module."""
    return next(each for each in tasks_of(module) if each.name == name)


def suite_names() -> list[str]:
    """The suites that can be asked for: files in `tasks/suites/`."""
    folder = files(f"{PACKAGE}.{TASKS}") / "suites"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def suite(name: str) -> dict[str, object]:
    """The suite called `name`, or in the file of that name, as its TOML says; `bench.run.plan` has what it may hold."""
    own = files(f"{PACKAGE}.{TASKS}") / "suites" / f"{name}.toml"
    if not name.endswith(".toml") and name not in suite_names():
        raise unknown("suite", name, suite_names())
    try:
        return tomllib.loads((Path(name) if name.endswith(".toml") else own).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeighbridgeError(f"no suite {name}: there is no such file") from None
    except (ValueError, RecursionError) as error:  # no TOML, no text, a number of thousands of digits, nested too deep
        raise WeighbridgeError(f"suite {name!r} is no TOML: {' '.join(str(error).split())}; mend its file") from error
