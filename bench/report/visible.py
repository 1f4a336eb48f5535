"""Control characters as text: what comes from records and plug-ins moves no cursor, hides nothing, turns no line round.

C0 and C1 controls, by which a terminal is commanded (ECMA-48), and the marks that reorder text (Unicode's UAX #9).
"""

from __future__ import annotations

import re

BIDIRECTIONAL = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
C1 = range(0x7F, 0xA0)
SIGNS = {code: f"\\x{code:02x}" for code in (*range(0x20), *C1)} | {code: f"\\u{code:04x}" for code in BIDIRECTIONAL}
SPACING = {code: sign for code, sign in SIGNS.items() if chr(code) not in "\n\t"}
JSON_ESCAPED = {code: f"\\u{code:04x}" for code in (*C1, *BIDIRECTIONAL)}
IN_JSON = re.compile(r"\\\\|\\u00([01][0-9a-f])|\\([bfr])")
SHORT = {"b": "08", "f": "0c", "r": "0d"}


def visible(text: str) -> str:
    """Text with `\\x1b` in the place of an escape; line breaks and tabs stay."""
    return text if text.isprintable() else text.translate(SPACING)


def on_one_line(text: str) -> str:
    """The same, line breaks and tabs as text, too."""
    return text if text.isprintable() else text.translate(SIGNS)


def json_for_terminal(text: str) -> str:
    """JSON that means the same, of whose strings a terminal obeys nothing."""
    return text.translate(JSON_ESCAPED)


def json_for_page(text: str) -> str:
    """JSON whose strings are those that `visible` makes: what reads them shows them."""
    return IN_JSON.sub(_shown, text.translate({code: f"\\{sign}" for code, sign in SPACING.items() if code > 0x1F}))


def _shown(found: re.Match[str]) -> str:
    code = found[1] or SHORT.get(found[2] or "")
    return f"\\\\x{code}" if code else found[0]
