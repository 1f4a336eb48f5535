"""Tasks and backends by name, as a process knows them that runs none of their code.

A child (`bench.run.describe`) reads their modules, and answers what only a backend's own code can: why it skips a cell,
and the environment of its workers. A module that fails, hangs, or ends its process costs what it defines and no more.
"""

from __future__ import annotations

import atexit
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import cache
from pathlib import Path

import msgspec

from weighbridge.bench.core.card import BackendCard, TaskCard
from weighbridge.bench.core.cell import Cell
from weighbridge.bench.core.errors import WeighbridgeError, unknown
from weighbridge.bench.core.settings import Pairs, Value
from weighbridge.bench.measure import environment
from weighbridge.bench.run import registry
from weighbridge.bench.run.describe import Describe, Parse, Told, Variables, WhyNot
from weighbridge.bench.run.process import Worker, WorkerFailed, living
from weighbridge.bench.run.registry import BACKENDS, TASKS, Folder
from weighbridge.bench.scenarios.base import A, Request
from weighbridge.bench.scenarios.catalog import as_opened

LIMIT_S = 10.0
"""For one module to be read, or one question to be answered: all of ours take half a second together."""
Card = BackendCard | TaskCard


class Describer:
    """The child that reads modules: started at the first question, and anew after one that it did not survive."""

    def __init__(self) -> None:
        self.life = ExitStack()
        self.worker: Worker | None = None

    def ask(self, question: Request[A]) -> A:
        """The answer; raises WorkerFailed where there is none."""
        worker = self.worker or self._start()
        worker.left_s = LIMIT_S
        try:
            return worker.ask(question)
        except WorkerFailed as failure:
            if worker.process.poll() is not None or failure.status == "timeout":
                self.close()
            if failure.status == "timeout":
                raise WorkerFailed("timeout", f"no answer within {LIMIT_S:g} s") from None
            raise

    def _start(self) -> Worker:
        folder = Path(self.life.enter_context(tempfile.TemporaryDirectory(prefix="weighbridge-")))
        log = folder / "describe.log"
        self.worker = self.life.enter_context(living(Worker({}, log, LIMIT_S, module="weighbridge.bench.run.describe")))
        return self.worker

    def close(self) -> None:
        """Ends the child."""
        self.worker = None
        self.life.close()


describer = Describer()
atexit.register(describer.close)


def _described(folder: Folder, module: str) -> list[Card]:
    """The cards of a module; raises WeighbridgeError where it cannot be read."""
    try:
        told = describer.ask(Describe(folder=folder, module=module))
    except WorkerFailed as failure:
        told = Told(problem=failure.reason)
    if told.problem:
        raise WeighbridgeError(f"{module} cannot be read ({told.problem}); mend or uninstall it")
    return [*told.backends, *told.tasks]


class Shelf(msgspec.Struct, frozen=True):
    """The cards of a folder and of what is plugged into it, and the problems of the modules that have none."""

    cards: dict[str, Card]
    problems: dict[str, str]
    """Name of a module -> what is wrong with it, in one line."""

    def add(self, name: str, cards: Iterable[Card], module: str) -> None:
        """Takes the cards of a module called `name`; one whose name another has is a problem."""
        for card in cards:
            if card.name in self.cards:
                owner = self.cards[card.name].module
                taken = f"{module} takes the name {card.name!r} of {owner}; rename or uninstall it"
                self.problems[name if name not in self.cards else module] = taken
            else:
                self.cards[card.name] = card


@cache
def _shelf(folder: Folder) -> Shelf:
    """Reads every module of one of the two folders, ours first."""
    shelf = Shelf({}, {})
    for name, module in [*registry.own_modules(folder).items(), *registry.plugged_modules(folder)]:
        try:
            shelf.add(name, _described(folder, module), module)
        except WeighbridgeError as error:
            shelf.problems[name if name not in shelf.cards else module] = str(error)
    return shelf


def backends() -> dict[str, BackendCard]:
    """Every backend by name; one that cannot be read by its module's, with its problem."""
    shelf = _shelf(BACKENDS)
    broken = {name: BackendCard(name=name, module="", problem=text) for name, text in shelf.problems.items()}
    able = {name: card for name, card in shelf.cards.items() if isinstance(card, BackendCard)}
    return dict(sorted((able | broken).items()))


def tasks() -> dict[str, TaskCard]:
    """Every task that can be read, by name."""
    return {name: card for name, card in sorted(_shelf(TASKS).cards.items()) if isinstance(card, TaskCard)}


def broken_tasks() -> dict[str, str]:
    """Name of a module of tasks that cannot be read -> what is wrong with it, in one line."""
    return _shelf(TASKS).problems


def backend(name: str) -> BackendCard:
    """The backend called `name`."""
    known = backends()
    if name not in known:
        shown = [each for each in known.values() if not each.hidden]
        of_it = [each.name for each in shown if name.lower() in each.distributions]
        if of_it:
            raise WeighbridgeError(f"no backend {name!r}; what runs on it: {', '.join(of_it)}")
        raise unknown("backend", name, (each.name for each in shown))
    return known[name]


def reference(name: str) -> BackendCard:
    """The backend called `name`, which must be one that others can be proven against."""
    found = backend(name)
    if found.problem:
        raise WeighbridgeError(found.problem)
    if not found.reference:
        raise WeighbridgeError(f"{name!r} cannot be the reference: it makes no weights")
    return found


def task(name: str) -> TaskCard:
    """The task called `name`."""
    if name in broken_tasks():
        raise WeighbridgeError(broken_tasks()[name])
    if name not in tasks():
        raise unknown("task", name, tasks())
    return tasks()[name]


def named(words: Sequence[str], folder: Folder) -> list[str]:
    """Names, and in place of each file that ends in `.py` the names of what it defines, which are known from then on.

    Raises WeighbridgeError where a file is not there, cannot be read, defines nothing, or takes another's name.
    """
    return [name for word in words for name in (_of_file(word, folder) if word.endswith(".py") else [word])]


def _of_file(word: str, folder: Folder) -> list[str]:
    path = Path(word).resolve()
    if not path.is_file():
        raise WeighbridgeError(f"there is no file {word}; name one, or one of: {', '.join(_known(folder))}")
    found, shelf = _described(folder, str(path)), _shelf(folder)
    new = [card for card in found if shelf.cards.get(card.name) != card]
    before = set(shelf.problems)
    shelf.add(path.stem, new, str(path))
    if clash := set(shelf.problems) - before:
        raise WeighbridgeError(shelf.problems.pop(clash.pop()))
    if not found:
        raise WeighbridgeError(f'{word} defines no {folder.removesuffix("s")}; see README.md, "Add to it"')
    return [card.name for card in found]


def _known(folder: Folder) -> Iterable[str]:
    return tasks() if folder == TASKS else [name for name, each in backends().items() if not each.hidden]


def why_not(card: BackendCard, cell: Cell) -> str | None:
    """The reason to skip a cell: a broken backend's problem, packages that lack, or what its own code says."""
    return card.problem or not_installed(card) or _asked(card, WhyNot(module=card.module, cell=as_opened(cell)))


def _asked(card: BackendCard, question: WhyNot) -> str | None:
    try:
        return describer.ask(question)
    except WorkerFailed as failure:
        return f"{card.name} does not say whether it can: {failure.reason}"


def not_installed(card: BackendCard) -> str | None:
    """Return what a backend lacks, and what to type; None where it lacks nothing."""
    absent = environment.missing(card.requires)
    if not absent:
        return None
    wanted = f"'weighbridge[{card.extra}]'" if card.extra else " ".join(absent)
    return f"{card.name} needs {', '.join(absent)}; type: python -m pip install {wanted}"


def options(card: BackendCard, given: Mapping[str, Value]) -> Pairs:
    """Those of `given` that this backend has, as a cell holds them; raises WeighbridgeError where a value is wrong."""
    own = {name: value for name, value in given.items() if name in card.options}
    if not own:
        return ()
    found = describer.ask(Parse(module=card.module, backend=card.name, given=own))
    if found.problem:
        raise WeighbridgeError(f"{card.name}: {found.problem}")
    return found.options


def variables(card: BackendCard, cell: Cell, cache: Path) -> dict[str, str]:
    """The environment that a backend wants for a cell's worker; raises WorkerFailed where it does not say."""
    return describer.ask(Variables(module=card.module, cell=as_opened(cell), cache=cache))
