"""Reads tasks and backends and tells of them in plain values: `bench.run.describe PARENT DESCRIPTOR`, a child process.

Their modules are other people's code, which may print, hang, or end its process at import. So a child reads them, and
a parent that plans and records knows their cards alone (`bench.run.cards`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import msgspec

from weighbridge.bench.core import settings
from weighbridge.bench.core.backend import Backend, Reference
from weighbridge.bench.core.card import BackendCard, TaskCard
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.core.settings import Pairs
from weighbridge.bench.core.task import Task
from weighbridge.bench.measure.environment import module_files, package_files
from weighbridge.bench.run import registry, serving
from weighbridge.bench.run.protocol import Answer, answered, path_from
from weighbridge.bench.run.registry import BACKENDS, Folder
from weighbridge.bench.scenarios.base import Request


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The cards of a module, or the problem with it."""

    backends: list[BackendCard] = []
    tasks: list[TaskCard] = []
    problem: str = ""


class Describe(Request[Told], frozen=True, tag="describe"):
    """Tell the cards of a module of one of the two folders."""

    folder: Folder
    module: str


class WhyNot(Request[str | None], frozen=True, tag="why_not"):
    """Tell why a backend skips a cell."""

    module: str
    cell: Cell


class Variables(Request[dict[str, str]], frozen=True, tag="variables"):
    """Tell the environment variables of a cell's worker."""

    module: str
    cell: Cell
    cache: Path


class Parsed(msgspec.Struct, frozen=True):
    """Options, or what is wrong with a text."""

    options: Pairs = ()
    problem: str = ""


class Parse(Request[Parsed], frozen=True, tag="parse"):
    """Tell a backend's options as a cell holds them, of the texts that a user typed."""

    module: str
    backend: str
    given: dict[str, settings.Value]


Question = Describe | WhyNot | Variables | Parse
Card = TypeVar("Card", BackendCard, TaskCard)
decoder: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question, dec_hook=path_from)


def answer(question: Question) -> object:
    """Dispatch on the question's type."""
    match question:
        case Describe(folder=folder, module=module):
            return described(folder, module)
        case WhyNot(module=module, cell=cell):
            return why_not(registry.backend(module, cell.backend), cell)
        case Variables(module=module, cell=cell, cache=cache):
            return checked(registry.backend(module, cell.backend).env(cell, cache))
        case Parse(module=module, backend=name, given=given):
            return parsed(registry.backend(module, name), given)


def described(folder: Folder, module: str) -> Told:
    """The cards of a module, or the problem with it."""
    try:
        if folder == BACKENDS:
            return Told(backends=[backend_card(each, module) for each in registry.backends_of(module)])
        return Told(tasks=[task_card(each, module) for each in registry.tasks_of(module)])
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever a module does is its own problem
        return Told(problem=serving.one_line(error))


def parsed(backend: Backend, given: Mapping[str, settings.Value]) -> Parsed:
    """The options of a backend that differ from its defaults, or what is wrong with one."""
    try:
        return Parsed(settings.pairs(settings.parse(backend.Options, given, "-O")))
    except WeighbridgeError as error:
        return Parsed(problem=str(error))


def why_not(backend: Backend, cell: Cell) -> str | None:
    """The reason to skip `cell`; raises what `env` raises, before a worker depends on it."""
    reason = backend.why_not(cell)
    if reason is None:
        checked(backend.env(cell, Path()))
    return reason


def checked(variables: Mapping[str, str]) -> dict[str, str]:
    """Environment variables as they are; raises ValueError where no process could be started with them."""
    found = msgspec.convert(variables, dict[str, str])
    for name, value in found.items():
        if not name or "=" in name or "\0" in name + value:
            raise ValueError(f"no process can have an environment variable {name!r} of that value")
    return found


def backend_card(backend: Backend, module: str) -> BackendCard:
    """Describe a backend; raises msgspec.ValidationError where a class variable is not what it should be."""
    code = package_files(type(backend))
    more = {"reference": isinstance(backend, Reference), "options": settings.names(backend.Options)}
    return _card(BackendCard, backend, module, code, **more)


def task_card(task: Task, module: str) -> TaskCard:
    """Describe a task; raises msgspec.ValidationError where a field is not what it should be."""
    return _card(TaskCard, task, module, module_files(task.data), varies=task.varying is not None)


def _card(kind: type[Card], of: Backend | Task, module: str, code: Iterable[Path], **more: object) -> Card:
    own = {"module", "code", "problem", *more}
    fields = {name: getattr(of, name) for name in kind.__struct_fields__ if name not in own}
    told = msgspec.to_builtins({**fields, **more, "module": module, "code": list(code)}, enc_hook=str)
    return msgspec.convert(told, kind, dec_hook=path_from)


def main() -> None:
    """Answers questions until the parent closes the pipe."""
    pipe = serving.begin()
    for line in sys.stdin:
        try:
            found = answered(answer(decoder.decode(line)))
        except Exception as error:  # noqa: BLE001 -- the next question is another module's
            found = Answer(failure="crashed", reason=serving.one_line(error))
        serving.tell(pipe, found)


if __name__ == "__main__":
    main()
