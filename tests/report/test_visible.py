"""Controls are shown and command nothing; everything else stays as it is."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table
from rich.text import Text

from weighbridge.bench.cli.console import PlainConsole
from weighbridge.bench.report.markup import escape
from weighbridge.bench.report.visible import json_for_page, json_for_terminal, on_one_line, visible

CONTROLS = "\x1b\x9b\x07\x7f\u202e\u2066"


@given(st.text())
def test_no_control_is_left(text: str) -> None:
    assert not set(visible(text)) & set(CONTROLS)
    assert not set(on_one_line(text)) & {*CONTROLS, "\n", "\t"}
    assert not set(json_for_terminal(json.dumps(text, ensure_ascii=False))) & set(CONTROLS)


@given(st.text())
def test_json_means_the_same_on_a_terminal_and_what_is_visible_on_a_page(text: str) -> None:
    written = json.dumps(text, ensure_ascii=False)
    assert json.loads(json_for_terminal(written)) == text
    assert json.loads(json_for_page(written)) == visible(text)


@pytest.mark.parametrize("text", ["plain", "é 日本 – ×", "two\nlines", "a\ttab"])
def test_text_stays(text: str) -> None:
    assert visible(text) == text


def test_a_console_sends_no_command_of_a_text() -> None:
    console = PlainConsole(file=io.StringIO(), force_terminal=True, color_system=None, width=80)
    table = Table()
    table.add_column("\x1b]0;title\x07")
    table.add_row(Text("\x1b[2Jgone\u202e"))
    console.print(table)
    console.print(Text("\x1b[31mred"))
    sent = console.file.getvalue()  # type: ignore[attr-defined]
    assert not set(sent) & set(CONTROLS)
    assert r"\x1b[31mred" in sent


def test_markdown_shows_them() -> None:
    assert escape("a\x1b[1m") == r"a\\x1b\[1m"
