"""A page in a real browser: Debian's chromium, headless. `apt-get install chromium` where it is missing.

With WEIGHBRIDGE_BROWSER=required a missing browser fails the tests that need one.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from weighbridge.bench.analysis import ratios
from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.core.record import Record
from weighbridge.bench.report import html
from weighbridge.bench.report.overview import Overview

SIZES = {"desktop": (1440, 900), "phone": (390, 844)}


@dataclass
class Opened:
    """A page and everything it complained of or asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)


def chromium() -> str:
    found = os.environ.get("WEIGHBRIDGE_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not found and os.environ.get("WEIGHBRIDGE_BROWSER") == "required":
        raise WeighbridgeError("no chromium; type: apt-get install chromium")
    if not found:
        pytest.skip("no chromium; type: apt-get install chromium")
    return found


def opened(browser: Browser, file: Path, size: str = "desktop", scheme: str = "light") -> Opened:
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme,
        permissions=["clipboard-read", "clipboard-write"],
    )  # fmt: skip
    found = Opened(page=context.new_page())
    found.page.on("console", lambda message: found.complaints.append(message.text))
    found.page.on("pageerror", lambda error: found.complaints.append(str(error)))
    found.page.on("dialog", lambda dialog: (found.complaints.append(dialog.message), dialog.dismiss()))
    found.page.on("request", lambda request: found.requests.append(request.url))
    found.page.goto(file.as_uri())
    return found


def written(folder: Path, records: list[Record]) -> Path:
    file = folder / "report.html"
    file.write_text(html.render(Overview(ratios.rows(records, "torch"), "torch")), encoding="utf-8")
    return file


def clean(found: Opened, file: Path) -> None:
    assert found.complaints == []
    assert found.requests == [file.as_uri()]
