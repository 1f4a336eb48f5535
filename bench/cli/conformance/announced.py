"""Tests that no subclass leaves out in silence, and what it announces in place: with a kind, an exception and a reason.

A test that is announced must fail with that exception. One that passes fails the suite, and names the announcement to
delete: what is said of a plug-in stays true.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from weighbridge.bench.core.errors import unknown

PACKAGE = __name__.rpartition(".")[0]
TOO_WIDE: tuple[type[BaseException], ...] = (BaseException, Exception)
HUSHING = ("skip", "skipif", "xfail")


@dataclass(frozen=True)
class Announced:
    """A test of the kit, by name, and why it is not held."""

    test: str
    reason: str

    kind: ClassVar[str]

    def __str__(self) -> str:
        return f'{type(self).__name__}("{self.test}")'


@dataclass(frozen=True)
class Failing(Announced):
    """A test that must fail with `raises`."""

    raises: type[BaseException]


class NotImplementedHere(Failing):
    """What could be done, and nobody has written it."""

    kind = "not implemented"


class NotYet(Failing):
    """What waits for somebody else, as for a release of the library underneath."""

    kind = "not yet"


class Never(Failing):
    """What cannot be done, and will not be."""

    kind = "never"


class Replaced(Announced):
    """A test that the subclass writes itself."""

    kind = "replaced"


class Conformance:
    """Base of the kit. A subclass that deletes, overrides or silences a test without saying why is refused."""

    announced: ClassVar[tuple[Announced, ...]] = ()

    def __init_subclass__(cls, **more: Any) -> None:
        super().__init_subclass__(**more)
        if found := "; ".join(complaints(cls)):
            raise TypeError(f"{cls.__name__}: {found}")

    @pytest.fixture(autouse=True)
    def _fails_as_announced(self, request: pytest.FixtureRequest) -> None:
        for each in self.announced:
            if isinstance(each, Failing) and each.test == request.node.originalname:
                told = f"{each.kind}: {each.reason}; if it passes, delete {each}"
                request.applymarker(pytest.mark.xfail(raises=each.raises, reason=told, strict=True))

    def test_no_test_is_left_out(self, request: pytest.FixtureRequest) -> None:
        """Of this class; what a conftest deselects or marks counts, too."""
        found = [*complaints(type(self)), *left_out(type(self), request.session.items)]
        assert not found, "; ".join(found)


def names_of(kit: type) -> set[str]:
    """The names of a class's tests."""
    return {name for name in dir(kit) if name.startswith("test_")}


def kit_of(cls: type) -> type:
    """The class of the kit that a subclass is of."""
    return next(each for each in cls.__mro__ if _is_ours(each))


def _is_ours(cls: type) -> bool:
    return cls.__module__.startswith(PACKAGE)


def complaints(cls: type[Conformance]) -> Iterator[str]:
    """What a class does to the kit's tests without saying why."""
    tests = names_of(kit_of(cls))
    yield from _misannounced(cls, tests)
    replaced = {each.test for each in cls.announced if isinstance(each, Replaced)}
    for name in sorted(tests):
        owner = next(each for each in cls.__mro__ if name in vars(each))
        if _is_ours(owner):
            continue
        if not callable(vars(owner)[name]):
            yield f"deletes {name}; announce why: Never({name!r}, reason, raises)"
        elif name not in replaced:
            yield f"overrides {name}; announce why: Replaced({name!r}, reason)"
    for mark in _marks(vars(cls).get("pytestmark", [])):
        if mark.name in HUSHING:
            yield f"marks every test as {mark.name}; announce each that cannot pass, with its reason"


def _misannounced(cls: type[Conformance], tests: set[str]) -> Iterator[str]:
    for each, times in Counter(one.test for one in cls.announced).items():
        if each not in tests:
            yield str(unknown("test", each, tests))
        if times > 1:
            yield f"{each} is announced {times} times"
    for each in cls.announced:
        if not each.reason.strip():
            yield f"{each} has no reason"
        if isinstance(each, Failing) and each.raises in TOO_WIDE:
            yield f"{each} raises {each.raises.__name__}, which is everything; name the exception that comes"


def _marks(given: Any) -> list[pytest.Mark]:
    each_given = given if isinstance(given, list | tuple) else [given]
    return [each.mark if isinstance(each, pytest.MarkDecorator) else each for each in each_given]


def left_out(cls: type[Conformance], items: list[pytest.Item]) -> Iterator[str]:
    """Tests of a class that are not among what is run, and those that somebody has marked so that they cannot fail."""
    own = [item for item in items if isinstance(item, pytest.Function) and item.cls is cls]
    for name in sorted(names_of(kit_of(cls)) - {item.originalname for item in own}):
        yield f"{name} was deselected"
    for item in own:
        for mark in item.iter_markers():
            if mark.name in HUSHING:
                yield f"{item.originalname} is marked as {mark.name}; announce it, with its reason"
