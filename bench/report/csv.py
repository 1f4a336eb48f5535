"""report.csv: one line a record, plain numbers in SI units, for a spreadsheet or pandas."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from itertools import repeat

import msgspec

from weighbridge.bench.analysis.figures import FIGURES, reader
from weighbridge.bench.analysis.row import Row
from weighbridge.bench.report.visible import visible

FIELDS = tuple(figure.name for figure in FIGURES)
TEXTS = tuple(figure.name for figure in FIGURES if figure.is_text)
"""Columns that hold no number."""
line = reader(FIGURES)
"""The values of a row, in the order of FIELDS."""
encoder = msgspec.json.Encoder()
FORMULA = ("=", "+", "-", "@", "\t", "\r")
UNSAFE = re.compile(rb'"[=+\-@]|[\\\x7f]|\xc2[\x80-\x9f]|\xd8\x9c|\xe2(?:\x80[\x8e\x8f\xaa-\xae]|\x81[\xa6-\xa9])')
"""In JSON: a text that may begin a formula, or one that holds what JSON escapes and CSV writes otherwise, or what a
terminal obeys."""


def values(row: Row) -> dict[str, object]:
    """The fields of one row; None where there is nothing."""
    return dict(zip(FIELDS, map(inert, line(row)), strict=True))


def render(rows: Sequence[Row], lines: Sequence[str] = ()) -> str:
    """The file's text. A text that a spreadsheet would run as a formula is quoted with an apostrophe.

    `lines` are those of `rows` where they were written before, and empty where not.
    """
    pairs = zip(rows, lines or repeat("", len(rows)), strict=True)
    return "\n".join([",".join(FIELDS), *(known or written(line(row)) for row, known in pairs), ""])


def written(values: Sequence[object]) -> str:
    """One line. JSON's is CSV's where it holds no backslash, and made in a fifth of the time."""
    text = _json(values)
    if is_plain(text):
        return text[1:-1].decode()
    values = [inert(visible(value)) if isinstance(value, str) else value for value in values]
    text = _json(values)
    return quoted(values) if b"\\" in text else text[1:-1].decode()


def is_plain(text: bytes) -> bool:
    """Whether JSON of texts and numbers needs no change to be CSV that nothing obeys: whether `UNSAFE` finds nothing.

    In ASCII, which most lines are, to look for each of six marks takes a twentieth of a regular expression's time.
    """
    if not text.isascii():
        return not UNSAFE.search(text)
    # spelt out, and of one byte each where that is rare: twice as fast; names of Intel's processors hold an @
    suspect = b"\\" in text or b"\x7f" in text or b"=" in text or b'"+' in text or b'"-' in text
    suspect = suspect or (b"@" in text and b'"@' in text)
    return not (suspect and UNSAFE.search(text))


def _json(values: Sequence[object]) -> bytes:
    return encoder.encode([value if value is not None else "" for value in values])


def quoted(values: Sequence[object]) -> str:
    """One line with texts that hold quotes, line breaks or backslashes."""
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC).writerow(values)
    return out.getvalue().removesuffix("\n")


def inert(value: object) -> object:
    """Text from outside that begins like a formula is made plain text; what is no text stays as it is."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
