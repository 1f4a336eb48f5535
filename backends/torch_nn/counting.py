"""What a long generation takes, from three short ones: to count all of it takes five times as long as to run it."""

from __future__ import annotations

from collections.abc import Sequence


def quadratic(first_three: Sequence[float], count: int) -> float:
    """Return the value at `count` of the polynomial of second degree through its values at 1, 2 and 3 (Newton).

    A token's operations grow linearly with the length of the cache that it attends to, so that their sum is quadratic.
    """
    one, two, three = first_three
    later = count - 1
    return one + later * (two - one) + later * (later - 1) / 2 * (three - 2 * two + one)
