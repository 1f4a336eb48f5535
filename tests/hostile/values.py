"""Values that nobody expects, and ways to damage bytes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

ESCAPES = ("\x1b[31mred", "\x1b]0;title\x07", "\u202egnp.exe", "\x9b2J", "a\rb", "a\x00b", "\x7f")
MARKUP = ("<script>alert(1)</script>", "[bold]x[/bold]", "=HYPERLINK(1)", "{{ 7 * 7 }}", "../../owned", "| a | b |")
NUMBERS: tuple[Any, ...] = (
    0, -1, 1, 0.0, -0.0, 0.5, 5e-324, 1e-300, 1e308, -1e308, 2**31, 2**53, 2**63, 2**64, -(2**63), 10**40, 300_000_000,
)  # fmt: skip
OTHERS: tuple[Any, ...] = (None, True, False, "", "x" * 5000, [], {}, [[]], [None], {"": None}, "NaN", "2026-13-45")
WORDS = (
    *ESCAPES, *MARKUP, "", " ", ",", ",,", "nan", "inf", "-inf", "1e300", "-1", "0", "9" * 5000, "1e999", "x" * 300,
    "é", "日本", "--", "-", "=", "a=b", "a=b=c", "/", ".", "..", "~", "/dev/null", "/proc/self/mem", "None", "null",
)  # fmt: skip


def value(rng: random.Random) -> Any:
    """A value of any type, now and then nested deeper than a parser follows."""
    if rng.random() < 0.03:
        return nested(rng.choice((100, 900, 3000)))
    return rng.choice((*NUMBERS, *OTHERS, *ESCAPES, *MARKUP))


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    found: list[Any] = []
    for _ in range(depth):
        found = [found]
    return found


def mutated(rng: random.Random, whole: Any) -> Any:
    """A copy of decoded JSON with one place changed: another value, a key less, a key more."""
    places = list(_places(whole))
    holder, key = rng.choice(places)
    action = rng.choice(("replace", "replace", "replace", "delete", "add"))
    if action == "delete":
        del holder[key]
    elif action == "add" and isinstance(holder, dict):
        holder[rng.choice(WORDS)] = value(rng)
    else:
        holder[key] = value(rng)
    return whole


def _places(whole: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys; large lists by their first three."""
    found: list[tuple[Any, Any]] = []
    left = [whole]
    while left:
        holder = left.pop()
        if isinstance(holder, dict):
            pairs = list(holder.items())
        elif isinstance(holder, list):
            pairs = list(enumerate(holder[:3]))
        else:
            continue
        found += [(holder, key) for key, _ in pairs]
        left += [each for _, each in pairs]
    return found


def _flip(rng: random.Random, data: bytearray) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _cut(rng: random.Random, data: bytearray) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _insert(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    data[at:at] = rng.choice(
        (b"\xff\xfe", b"\x00" * 64, b"\n", b"\r\n", b"\xef\xbb\xbf", rng.randbytes(16), b"\xed\xa0\x80")
    )


def _zeros(rng: random.Random, data: bytearray) -> None:
    at = rng.randrange(len(data) + 1)
    data[at : at + 64] = bytes(len(data[at : at + 64]))


DAMAGE: tuple[Callable[[random.Random, bytearray], None], ...] = (_flip, _cut, _insert, _zeros)


def damaged(rng: random.Random, content: bytes) -> bytes:
    """The same with a bit, a part, or a few bytes gone wrong."""
    data = bytearray(content)
    rng.choice(DAMAGE)(rng, data)
    return bytes(data)
