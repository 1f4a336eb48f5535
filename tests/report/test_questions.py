"""What a stranger asks of a report is answered on its first screen or after one click, on a desktop and on a phone.

With WEIGHBRIDGE_WRITE_SCREENSHOTS=1 the pictures of docs/index.md are written: the place of each answer, framed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

import pytest

from weighbridge.bench.storage import journals

pytest.importorskip("playwright.sync_api")
from playwright.sync_api import Browser, Locator, expect

from tests.report.browsing import SIZES, Opened, clean, opened, written

RUN = Path("results/amd-epyc-family-23-model-1-2-core/repeat/semantic-search-quick/20/records.jsonl")
IMAGES = Path(__file__).parents[2] / "docs" / "images" / "questions"
PICTURE = {"width": 1000, "height": 640}


class Question(NamedTuple):
    """Where the answer stands: behind a link or a button, if `click` is not empty."""

    name: str
    click: str
    place: str
    says: str


QUESTIONS = [
    Question("1-may-i-move", "", "h1", "same answers"),
    Question("2-is-it-right", "", "h1", "same answers"),
    Question("3-what-do-i-gain", "", ".advice", "To gain by moving"),
    Question("4-how-sure", "How sure", ".lede", "processes a cell"),
    Question("5-what-does-it-cost", "", "h1", "first call"),
    Question("6-on-what", "Data and machines", "#sources", "2 CPUs"),
    Question("7-what-was-not-tried", "", "header .note", "Not weighed"),
    Question("8-how-do-i-repeat-it", "button.open", "tr.detail .command", "weighbridge run --tasks semantic-search"),
    Question("9-how-do-i-fail-my-ci", "What to type next", "#next", "weighbridge compare BEFORE AFTER"),
    Question("10-how-do-i-add-mine", "What to type next", "#next", "--tasks ./mine.py"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("real"), journals.load(RUN))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_a_stranger_sees_it_at_once_or_after_one_click(
    browser: Browser, report: Path, question: Question, size: str
) -> None:
    found = opened(browser, report, size)
    answer = asked(found, question)
    assert question.says in answer.inner_text()
    expect(answer).to_be_in_viewport()
    clean(found, report)


@pytest.mark.skipif("WEIGHBRIDGE_WRITE_SCREENSHOTS" not in os.environ, reason="pictures are written where asked for")
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_pictures_of_where(browser: Browser, report: Path, question: Question) -> None:
    found = opened(browser, report)
    found.page.set_viewport_size(PICTURE)
    answer = asked(found, question)
    answer.evaluate("element => { element.style.outline = '3px solid #c2410c'; element.style.outlineOffset = '4px' }")
    IMAGES.mkdir(parents=True, exist_ok=True)
    found.page.screenshot(path=IMAGES / f"{question.name}.png")


def asked(found: Opened, question: Question) -> Locator:
    """Click what is to be clicked, and return where the answer is to be seen."""
    if question.click.startswith("button"):
        found.page.locator(question.click).nth(1).click()
    elif question.click:
        found.page.get_by_role("link", name=question.click, exact=True).click()
    return found.page.locator(question.place).first
