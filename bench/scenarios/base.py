"""What scenarios share: how a worker is asked, and how a measurement ends early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, get_args

import msgspec

from weighbridge.bench.core.process import Process
from weighbridge.bench.core.record import Parity

A = TypeVar("A")
VERSION = 1
"""Of every result of a process so far; a scenario whose result changes its form counts its own."""


class Result(Protocol):
    """What only a scenario knows of a process: a tagged struct."""

    @property
    def version(self) -> int: ...


R = TypeVar("R", bound=Result)


class Request(msgspec.Struct, Generic[A], frozen=True):
    """What a child process is asked; `A` is the type of its answer, by which the parent reads it."""


def answer_type(request: Request[A]) -> type[A]:
    """The `A` of a request, as its class states it."""
    stated: Any = next(base for base in type(request).__orig_bases__ if get_args(base))  # type: ignore[attr-defined]
    return get_args(stated)[0]


class Ask(Protocol):
    """Sends a request to the worker and waits for its answer."""

    def __call__(self, request: Request[A], /) -> A: ...


Phase = Callable[[str], None]


def result_of(process: Process, kind: type[R]) -> R | None:
    """Return a process's result where it is one of this kind and version; journals come from outside."""
    try:
        found = msgspec.convert(process.result, kind)
    except msgspec.ValidationError:
        return None
    return found if found.version == VERSION else None


def padded(count: int, most: int) -> int:
    """The size that a batch of `count` is run at by a backend that compiles a program a shape: a power of two."""
    return min(most, 1 << (count - 1).bit_length())


def sizes(most: int) -> list[int]:
    """Every size that `padded` gives."""
    return sorted({padded(count, most) for count in range(1, most + 1)})


class ParityError(Exception):
    """The backend computes something else."""

    def __init__(self, parity: Parity) -> None:
        self.parity = parity
        ratio = "not finite" if parity.ratio is None else f"{parity.ratio:.3g}"
        decisions = (
            "" if parity.decisions_equal in (None, 1.0) else f"; {parity.decisions_equal:.2%} of decisions equal"
        )
        super().__init__(
            f"error of {parity.output!r} is {ratio} times the reference's, limit {parity.limit:g}{decisions}"
        )


class ImplausibleError(Exception):
    """Its steps cannot be believed; the text says why."""
