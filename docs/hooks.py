"""Links from these pages to files of the repository that are no pages: checked, and shown by their path."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = re.compile(r"\[([^\]]*)\]\(((?:\.\./)+[^)#\s]+)(?:#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: Any, **_: object) -> str:
    """Put a file's path in place of a link to it; raise PluginError where it is not there."""
    source = ROOT / "docs" / page.file.src_uri

    def shown(found: re.Match[str]) -> str:
        target = (source.parent / found[2]).resolve()
        if not target.exists():
            raise PluginError(f"{page.file.src_uri}: {found[2]} is not there")
        if target.is_relative_to(ROOT / "docs"):
            return found[0]
        return f"{found[1]} (`{target.relative_to(ROOT)}`)"

    return OUTSIDE.sub(shown, markdown)


SHIM, OURS = re.compile(r'https?://[^"]*/iframe-worker/shim'), "assets/iframe-worker/shim.js"
"""What lets the search work in a page that is opened as a file: iframe-worker 1.0.4, MIT, Martin Donath."""
LOADED = re.compile(
    r"""<(?:script|img|iframe)\b[^>]*\bsrc="https?://[^"]*|<link\b[^>]*\brel="stylesheet"[^>]*https?://[^"]*"""
)


def on_post_page(output: str, *, page: Any, **_: object) -> str:
    """Raise PluginError where a page would load something from elsewhere: it is read without a network."""
    return _offline(output, page.file.src_uri, page.url.count("/"))


def on_post_template(output: str, *, template_name: str, **_: object) -> str:
    """The same of pages that are no document, such as 404.html."""
    return _offline(output, template_name, 0)


def _offline(output: str, name: str, depth: int) -> str:
    output = SHIM.sub("../" * depth + OURS, output)
    if found := LOADED.search(output):
        raise PluginError(f"{name} loads {found[0]}")
    return output
