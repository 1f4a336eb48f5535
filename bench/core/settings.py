"""Settings of a scenario, options of a backend: typed where they are read, plain pairs where they are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import msgspec

from weighbridge.bench.core.errors import WeighbridgeError, unknown

Value = str | int | float | bool
Pairs = tuple[tuple[str, Value], ...]
"""By name; what has its default is left out, so that equal settings are equal pairs."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of a scenario's settings and of a backend's options. Every field has a default and is a plain value."""


def names(kind: type[Settings]) -> tuple[str, ...]:
    """Return the settings there are."""
    return kind.__struct_fields__


S = TypeVar("S", bound=Settings)


def parse(kind: type[S], given: Mapping[str, Value], option: str) -> S:
    """Return settings of values or their texts; `option` is how a user types them.

    Raises WeighbridgeError where a name is unknown, or a value is none that it can have.
    """
    for name in given:
        if name not in names(kind):
            raise unknown("setting", name, names(kind))
    for name, value in given.items():
        try:
            msgspec.convert({name: value}, kind, strict=False)
        except msgspec.ValidationError as error:
            told = str(error).split(" - at ")[0]
            raise WeighbridgeError(f"{option} {name}={value}: {told[:1].lower()}{told[1:]}") from error
    return msgspec.convert(dict(given), kind, strict=False)


def pairs(settings: Settings) -> Pairs:
    """Return what differs from the defaults, by name."""
    usual = type(settings)()
    found = {name: getattr(settings, name) for name in names(type(settings))}
    return tuple(sorted((name, value) for name, value in found.items() if value != getattr(usual, name)))


def of(kind: type[S], written: Pairs) -> S:
    """Return the settings that `pairs` wrote; raises msgspec.ValidationError where somebody else wrote them."""
    return msgspec.convert(dict(written), kind)


def words(written: Pairs) -> Iterable[str]:
    """Yield each as a user types it."""
    return (f"{name}={text(value)}" for name, value in written)


def text(value: Value) -> str:
    """Return a value as a user types it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)


def typed(option: str, given: Iterable[str]) -> dict[str, str]:
    """Return `key=value` words as names and texts; raises WeighbridgeError where one is none."""
    found: dict[str, str] = {}
    for word in given:
        name, sign, value = word.partition("=")
        if not (sign and name):
            raise WeighbridgeError(f"{option} takes key=value, not {word!r}")
        found[name.strip()] = value.strip()
    return found
