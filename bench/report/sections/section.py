"""What a scenario says of its records beside the table of all: grids, each with a sentence, and how to read them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Grid(NamedTuple):
    """Lines under headings; the first text of a line tells which it is."""

    title: str
    sentence: str
    headings: Sequence[str]
    lines: list[list[str]]
    narrow: Sequence[str] = ()
    """The headings that a narrow terminal has room for; where there are none, it shows a line as a list."""
    below: Sequence[str] = ()
    """What a narrow terminal says in place of the others."""


class Section(NamedTuple):
    """One scenario's."""

    title: str
    grids: list[Grid]
    notes: Sequence[str]
