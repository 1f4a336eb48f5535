"""report.html in a real browser: Debian's chromium, headless. `apt-get install chromium` where it is missing.

With WEIGHBRIDGE_BROWSER=required a missing browser fails these tests. With WEIGHBRIDGE_WRITE_SCREENSHOTS=1 they
write docs/images/ from the newest run in results/.
"""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import make_cell, make_record
from tests.hostile import texts as hostile
from weighbridge.bench.core.record import Record
from weighbridge.bench.storage import journals

pytest.importorskip("playwright.sync_api")
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.report.browsing import SIZES, clean, opened, written

IMAGES = Path(__file__).parents[2] / "docs" / "images"
PICTURES = (("desktop", "desktop", "light"), ("dark", "desktop", "dark"), ("phone", "phone", "light"))


def ordinary() -> list[Record]:
    rows: list[Record] = []
    for task in ("apples", "pears"):
        for batch in (1, 8):
            for backend, step_s in (("torch", 0.02), ("flax", 0.0123), ("slower", 0.3)):
                steps = [step_s * (1 + index % 5 / 100) for index in range(40)]
                cell = make_cell(backend, task=task, batch_size=batch)
                rows.append(make_record(backend, steps, cell=cell, items_per_step=batch, warm_compile_s=0.1))
    rows.append(make_record(cell=make_cell("absent", task="pears"), status="skipped", reason="needs x", step_s=[]))
    return rows


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("ordinary"), ordinary())


def column(page: Page, index: int) -> list[str]:
    cells = page.locator(f"#rows tbody tr:not(.detail):visible > *:nth-child({index + 1})")
    return [text.strip() for text in cells.all_inner_texts()]


def heading(page: Page, name: str) -> int:
    return page.locator("#rows thead th .sort").all_inner_texts().index(name)


def test_a_heading_sorts_by_figure_and_what_has_none_comes_last(browser: Browser, report: Path) -> None:
    found = opened(browser, report)
    at = heading(found.page, "step")
    button = found.page.locator("#rows thead .sort", has_text="step")
    button.click()
    texts = column(found.page, at)
    assert texts[0] == "12.5 ms"
    assert texts[-2:] == ["306 ms", "–"]
    button.click()
    assert column(found.page, at)[0] == "306 ms"
    assert column(found.page, at)[-1] == "–"
    expect(found.page.locator("#rows thead th").nth(at)).to_have_attribute("aria-sort", "descending")
    clean(found, report)


def test_filters_and_search_narrow_the_table_and_say_how_far(browser: Browser, report: Path) -> None:
    found = opened(browser, report)
    page = found.page
    page.get_by_label("task", exact=True).select_option("pears")
    page.get_by_label("verdict", exact=True).select_option("FASTER")
    expect(page.locator("#count")).to_have_text("2 of 13 rows")
    assert set(column(page, heading(page, "backend"))) == {"flax"}
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#count")).to_have_text("13 of 13 rows")
    page.get_by_label("search").fill("absent")
    expect(page.locator("#count")).to_have_text("1 of 13 rows")
    clean(found, report)


def test_a_row_opens_to_samples_and_footing_and_its_command_is_copied(browser: Browser, report: Path) -> None:
    found = opened(browser, report)
    page = found.page
    page.locator("button.open").nth(1).click()
    detail = page.locator("tr.detail")
    for words in ("Effective footing", "weights hash", "all 40", "host, while timed"):
        expect(detail).to_contain_text(words)
    expect(detail.locator("canvas")).to_have_count(1)
    detail.get_by_role("button", name="Copy").click()
    expect(detail.get_by_role("status")).to_have_text("copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == detail.locator("code").inner_text()
    assert copied.startswith("weighbridge run --tasks apples")
    page.locator("#rows thead .sort", has_text="step").click()
    row = page.locator("tr.detail").evaluate("row => row.previousElementSibling.id")
    assert row == "row1"
    page.locator("button.open[aria-expanded=true]").click()
    expect(page.locator("tr.detail")).to_have_count(0)
    clean(found, report)


def test_everything_works_by_keyboard_alone(browser: Browser, report: Path) -> None:
    found = opened(browser, report)
    page = found.page
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.locator("#rows thead .sort").nth(heading(page, "step")).focus()
    expect(page.locator("#rows thead .tip:visible")).to_contain_text("median latency")
    page.keyboard.press("Enter")
    assert column(page, heading(page, "step"))[0] == "12.5 ms"
    page.locator("button.open").first.focus()
    page.keyboard.press("Space")
    expect(page.locator("tr.detail")).to_have_count(1)
    clean(found, report)


def ground(page: Page) -> str:
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_dark_follows_the_system_and_the_button(browser: Browser, report: Path) -> None:
    found = opened(browser, report, scheme="dark")
    assert ground(found.page) == "rgb(20, 22, 26)"
    found.page.locator("#theme").click()
    assert ground(found.page) == "rgb(255, 255, 255)"
    found.page.emulate_media(color_scheme="light")
    found.page.locator("#theme").click()
    assert ground(found.page) == "rgb(20, 22, 26)"
    clean(found, report)


@pytest.mark.parametrize("size", SIZES)
def test_nothing_is_wider_than_the_screen(browser: Browser, report: Path, size: str) -> None:
    found = opened(browser, report, size)
    found.page.locator("button.open").first.click()
    assert found.page.evaluate("document.documentElement.scrollWidth") <= SIZES[size][0]
    clean(found, report)


def test_every_plot_is_drawn_when_it_is_reached(browser: Browser, report: Path) -> None:
    found = opened(browser, report)
    plots = found.page.locator(".plot")
    assert plots.count() >= 10
    for index in range(plots.count()):
        plots.nth(index).scroll_into_view_if_needed()
        expect(plots.nth(index).locator("canvas")).to_have_count(1)
    clean(found, report)


INKED = """
const fill = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  (this.canvas.inked ??= []).push([text, Math.round(x), Math.round(y)]);
  return fill.call(this, text, x, y);
};
"""
"""Keeps every text that is drawn on a canvas, and where."""


def ticks(inked: list[tuple[str, int, int]]) -> list[list[float]]:
    """The numbers of each axis, in the order in which they were drawn: those in one line, or one above another."""
    numbers = [(text.replace(",", ""), x, y) for text, x, y in inked if re.fullmatch(r"[\d,]+(\.\d+)?", text)]
    lines = [[float(text) for text, *place in numbers if place[at] == edge] for at in (0, 1)
             for edge in sorted({place[at] for _, *place in numbers})]  # fmt: skip
    return [line for line in lines if len(line) > 2]


def test_ticks_are_what_stands_there_and_not_rounded_to_something_else(browser: Browser, report: Path) -> None:
    """Of 42.5 45.0 47.5 50.0 a reader once saw 43 45 48 50."""
    page = browser.new_context().new_page()
    page.add_init_script(INKED)
    page.goto(report.as_uri())
    plots, seen = page.locator(".plot"), 0
    for index in range(plots.count()):
        plots.nth(index).scroll_into_view_if_needed()
        expect(plots.nth(index).locator("canvas")).to_have_count(1)
        page.wait_for_function("canvas => canvas.inked", arg=plots.nth(index).locator("canvas").element_handle())
        for axis in ticks(plots.nth(index).locator("canvas").evaluate("canvas => canvas.inked")):
            steps = [b - a for a, b in pairwise(axis)]
            assert steps == pytest.approx([steps[0]] * len(steps)) or axis == [
                axis[0] * 10**n for n in range(len(axis))
            ]
            seen += 1
    assert seen >= plots.count()


def test_a_legend_that_nobody_points_at_holds_no_dashes(browser: Browser, report: Path) -> None:
    found = opened(browser, report)
    plot = found.page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    expect(plot.locator("canvas")).to_have_count(1)
    values = plot.locator(".u-legend .u-value").all_inner_texts()
    assert values
    assert not any(values)


@pytest.mark.parametrize(("size", "scheme"), [("desktop", "light"), ("desktop", "dark"), ("phone", "light")])
def test_axe_finds_no_violation(browser: Browser, report: Path, size: str, scheme: str) -> None:
    found = opened(browser, report, size, scheme)
    found.page.locator("button.open").nth(1).click()
    found.page.get_by_label("all columns").check()
    results = Axe().run(found.page)
    assert results.violations_count == 0, results.generate_report()


def test_hostile_records_are_shown_and_do_nothing(browser: Browser, tmp_path: Path) -> None:
    file = written(tmp_path, hostile.records())
    found = opened(browser, file)
    page = found.page
    for button in page.locator("button.open").all():
        button.click()
    details = page.locator("tr.detail")
    expect(details).to_have_count(len(hostile.records()))
    plots = page.locator(".plot")
    for index in range(plots.count()):
        plots.nth(index).scroll_into_view_if_needed()
    text = page.locator("body").inner_text()
    for name in hostile.NAMES:
        assert name in text
    assert page.locator("main script, main img, main b, main a[href^=http]").count() == 0
    clean(found, file)


def test_pictures_of_a_real_run(browser: Browser, tmp_path: Path) -> None:
    run = Path(
        "results/amd-epyc-family-25-model-1-2-core/repeat/suite-full-quick/03/records.jsonl"
    )  # the README's table
    folder = IMAGES if "WEIGHBRIDGE_WRITE_SCREENSHOTS" in os.environ else tmp_path
    folder.mkdir(exist_ok=True)
    file = written(tmp_path, journals.load(run))
    for name, size, scheme in PICTURES:
        found = opened(browser, file, size, scheme)
        if name == "dark":
            found.page.locator("button.open").nth(1).click()
            found.page.locator("tr.detail").scroll_into_view_if_needed()
        found.page.wait_for_timeout(200)
        found.page.screenshot(path=folder / f"report-{name}.png")
        clean(found, file)
        assert (folder / f"report-{name}.png").stat().st_size > 20_000
    found = opened(browser, file)
    found.page.pdf(path=folder / "report-print.pdf", prefer_css_page_size=True)
    assert (folder / "report-print.pdf").read_bytes().startswith(b"%PDF")
