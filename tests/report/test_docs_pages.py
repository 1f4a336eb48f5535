"""The documentation as it is read: `python -m nox -s docs` makes the pages that these tests open."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("playwright.sync_api")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.report.browsing import SIZES, opened

SITE = Path(__file__).parents[2] / "site"
PAGES = ("index", "right", "sure", "cost", "devices", "ci", "add", "notebook", "measuring", "reference")
pytestmark = pytest.mark.skipif(not SITE.is_dir(), reason="no pages; type: python -m nox -s docs")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_no_violation_and_nothing_is_fetched(browser: Browser, name: str, scheme: str) -> None:
    found = opened(browser, SITE / f"{name}.html", scheme=scheme)
    assert not found.complaints
    assert not [url for url in found.requests if not url.startswith(("file:", "data:", "blob:"))]
    results = Axe().run(found.page)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("name", PAGES)
def test_no_page_is_wider_than_a_phone(browser: Browser, name: str) -> None:
    found = opened(browser, SITE / f"{name}.html", "phone")
    assert found.page.evaluate("document.documentElement.scrollWidth") <= SIZES["phone"][0]
