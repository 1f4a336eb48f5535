"""Markdown's own signs: text that stays text, and a grid of texts."""

from __future__ import annotations

from collections.abc import Iterable

from weighbridge.bench.report.visible import visible

SPECIAL = str.maketrans({sign: f"\\{sign}" for sign in "\\|`*_[]<>#~"})


def escape(text: str) -> str:
    """Text that Markdown shows as it is, on one line: names in records come from outside."""
    return " ".join(visible(text).translate(SPECIAL).split())


def grid(headings: Iterable[str], lines: Iterable[Iterable[str]]) -> str:
    """A Markdown table of texts that are Markdown already: see `escape`."""
    titles = list(headings)
    rows = [titles, ["---"] * len(titles), *lines]
    return "\n".join(f"| {' | '.join(texts)} |" for texts in rows)
