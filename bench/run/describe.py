"""`python -m bench.run.describe PARENT DESCRIPTOR`: reads tasks and backends and tells of them in plain values.

Their modules are other people's code, which may print, hang, or end its process at import. So a child reads them, and
a parent that plans and records knows their cards alone (`bench.run.cards`).
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from bench.core.backend import Backend, Reference
from bench.core.card import BackendCard, TaskCard
from bench.core.cell import Cell
from bench.core.task import Task
from bench.measure.environment import module_file, package_files
from bench.run import registry, serving
from bench.run.protocol import Answer, path_from
from bench.run.registry import BACKENDS, Folder


class Describe(msgspec.Struct, frozen=True, tag="describe"):
    """Tell the cards of a module of one of the two folders."""

    folder: Folder
    module: str


class WhyNot(msgspec.Struct, frozen=True, tag="why_not"):
    """Tell why a backend skips a cell."""

    module: str
    cell: Cell


class Variables(msgspec.Struct, frozen=True, tag="variables"):
    """Tell the environment variables of a cell's worker."""

    module: str
    cell: Cell
    cache: Path


Question = Describe | WhyNot | Variables
Card = TypeVar("Card", BackendCard, TaskCard)
decoder: msgspec.json.Decoder[Question] = msgspec.json.Decoder(Question, dec_hook=path_from)


def answer(question: Question) -> dict[str, Any]:
    """Dispatch on the question's type."""
    match question:
        case Describe(folder=folder, module=module):
            return described(folder, module)
        case WhyNot(module=module, cell=cell):
            return {"reason": why_not(registry.backend(module, cell.backend), cell)}
        case Variables(module=module, cell=cell, cache=cache):
            return {"variables": registry.backend(module, cell.backend).env(cell, cache)}


def described(folder: Folder, module: str) -> dict[str, Any]:
    """The cards of a module, or the problem with it."""
    try:
        if folder == BACKENDS:
            cards = [backend_card(each, module) for each in registry.backends_of(module)]
        else:
            cards = [task_card(each, module) for each in registry.tasks_of(module)]
        return {"cards": [msgspec.to_builtins(card, enc_hook=str) for card in cards]}
    except (Exception, SystemExit) as error:  # noqa: BLE001 -- whatever a module does is its own problem
        return {"problem": serving.one_line(error)}


def why_not(backend: Backend, cell: Cell) -> str | None:
    """The reason to skip `cell`; raises what `env` raises, before a worker depends on it."""
    reason = backend.why_not(cell)
    if reason is None:
        backend.env(cell, Path())
    return reason


def backend_card(backend: Backend, module: str) -> BackendCard:
    """Describe a backend; raises msgspec.ValidationError where a class variable is not what it should be."""
    code = package_files(type(backend))
    return _card(BackendCard, backend, module, code, reference=isinstance(backend, Reference))


def task_card(task: Task, module: str) -> TaskCard:
    """Describe a task; raises msgspec.ValidationError where a field is not what it should be."""
    return _card(TaskCard, task, module, [module_file(task.data)], varies=task.varying is not None)


def _card(kind: type[Card], of: Backend | Task, module: str, code: Iterable[Path], **more: bool) -> Card:
    own = {"module", "code", "problem", *more}
    fields = {name: getattr(of, name) for name in kind.__struct_fields__ if name not in own}
    told = msgspec.to_builtins({**fields, **more, "module": module, "code": list(code)}, enc_hook=str)
    return msgspec.convert(told, kind, dec_hook=path_from)


def main() -> None:
    """Answers questions until the parent closes the pipe."""
    pipe = serving.begin()
    for line in sys.stdin:
        try:
            found = Answer(value=answer(decoder.decode(line)))
        except Exception as error:  # noqa: BLE001 -- the next question is another module's
            found = Answer(failure="crashed", reason=serving.one_line(error))
        serving.tell(pipe, found)


if __name__ == "__main__":
    main()
