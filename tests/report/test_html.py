"""report.html as text: what it shows, what it leaves out and says so, and that nothing of a record becomes markup."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_cell, make_record
from tests.hostile import texts as hostile
from weighbridge.bench.analysis import ratios
from weighbridge.bench.core.record import Record
from weighbridge.bench.report import html, sampling
from weighbridge.bench.report.overview import Overview
from weighbridge.bench.report.two_readers import whole
from weighbridge.bench.report.visible import visible

ALLOWED = {
    "html", "head", "meta", "title", "link", "style", "body", "a", "header", "div", "p", "button", "h1", "strong",
    "nav", "ul", "li", "main", "section", "h2", "article", "h3", "span", "dl", "dt", "dd", "form", "label", "select",
    "option", "input", "table", "caption", "thead", "tbody", "tr", "th", "td", "s", "noscript", "figure", "figcaption",
    "details", "summary", "svg", "rect", "footer", "script",
}  # fmt: skip


class Parsed(HTMLParser):
    """Tags, attributes and the texts of scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.scripts: list[str] = []
        self.texts: list[str] = []
        self._in = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        self._in = tag
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in = ""

    def handle_data(self, data: str) -> None:
        if self._in == "script":
            self.scripts[-1] += data
        elif self._in != "style":
            self.texts.append(data)


def page(records: list[Record], reference: str = "torch") -> str:
    return html.render(Overview(ratios.rows(records, reference), reference))


def test_every_ending_and_every_reason_is_shown() -> None:
    text = " ".join(Parsed(page(hostile.endings())).texts)
    for record in hostile.endings():
        assert record.cell.backend in text
        assert record.status in text
        assert record.reason in text
    for words in ("UNSURE", "n/a", "threads 64 against 2", "score under 99 %"):
        assert words in text
    assert "6 ok" not in text
    assert "7 ok, 1 implausible, 1 skipped, 1 oom, 1 timeout, 1 crashed, 1 parity_failed" in text


def test_no_name_becomes_markup() -> None:
    parsed = Parsed(page(hostile.records()))
    assert parsed.tags <= ALLOWED
    assert not {name for name in parsed.attributes if name.startswith("on")}
    assert len(parsed.scripts) == 2
    text = "".join(parsed.texts)
    for name in hostile.NAMES:
        assert name in text
    assert "49" not in [word.strip() for word in parsed.texts]


def test_the_payload_holds_every_name_unchanged() -> None:
    parsed = Parsed(page(hostile.records()))
    payload = json.loads(parsed.scripts[0])
    titles = {row["title"] for row in payload["rows"].values()}
    assert {str(record.cell) for record in hostile.records()} == titles


@given(st.text())
def test_json_in_a_script_element_cannot_end_it(text: str) -> None:
    inert = html.inert_json({"x": text})
    assert not re.search(r"[<>&\u2028\u2029]", inert)
    assert json.loads(inert) == {"x": visible(text)}


def test_the_policy_names_the_very_script_and_style() -> None:
    text = page(hostile.endings())
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy
    style = re.search(r"<style>(.*?)</style>", text, re.DOTALL)
    assert style
    for content in (style[1], Parsed(text).scripts[1]):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"sha256-{digest}" in policy[1].replace("&#43;", "+")


def test_no_address_is_in_the_page() -> None:
    text = page([make_record("torch"), make_record("flax", 0.005)])
    assert not re.findall(r"https?:|//[a-z]+\.[a-z]|@import|url\(", text)
    assert not re.findall(r'(?:src|href)="(?!#|data:,)', text)


def test_the_command_is_one_shell_word_an_argument() -> None:
    import shlex

    payload = json.loads(Parsed(page(hostile.records())).scripts[0])
    for row in payload["rows"].values():
        words = shlex.split(row["command"])
        assert words[:2] == ["weighbridge", "run"]
        assert len(words) == 18


def test_options_of_one_backend_are_rows_with_colours_and_points_of_their_own() -> None:
    named = ("torch", "compiled", "compiled(mode=quick)")
    cells = [make_cell("torch"), make_cell("compiled"), make_cell("compiled", options=(("mode", "quick"),))]
    records = [make_record(step_s=step_s, cell=cell) for cell, step_s in zip(cells, (0.03, 0.02, 0.01), strict=True)]
    parsed = Parsed(page(records))
    payload = json.loads(parsed.scripts[0])
    assert payload["colours"] == {name: index for index, name in enumerate(named)}
    assert "compiled(mode=quick)" in "".join(parsed.texts)  # the fastest: its name leads the page
    drawn = {series["backend"] for chapter in payload["plots"] for plot in chapter for series in plot["series"]}
    assert set(named) <= drawn


def test_a_small_run_is_small() -> None:
    real = Path("results/amd-epyc-2-core/20261123-031925-93ec213")
    from weighbridge.bench.storage import journals

    assert len(page(journals.load(real)).encode()) < 2 * 2**20


def many(count: int) -> list[Record]:
    return [
        make_record(backend, [0.01] * 90, cell=make_cell(backend, task=f"task-{index}"), status=status)
        for index in range(count)
        for backend, status in (("torch", "ok"), ("flax", "ok" if index % 3 else "crashed"))
    ]


def test_a_large_run_is_thinned_and_says_so() -> None:
    records = many(2_000)
    text = page(records)
    assert len(re.findall(r'<tr role="row" id="row', text)) <= sampling.MOST_ROWS
    assert f"of {len(records):,} rows" in text
    assert "3,333 ok, 667 crashed" in text
    assert "raw samples at even distances" in text


def test_whole_groups_are_kept() -> None:
    shown = sampling.sampled(ratios.rows(many(2_000), "torch"), whole).rows
    kept = [row.record.cell.task for row in shown if row.record.cell.backend == "torch"]
    partners = [
        row.record.cell.task for row in shown if row.record.cell.backend == "flax" and row.record.status == "ok"
    ]
    assert set(partners) <= set(kept)


@given(st.lists(st.integers()), st.integers(1, 50))
def test_spread_keeps_order_and_the_first(items: list[int], most: int) -> None:
    kept = sampling.spread(items, most)
    assert len(kept) == min(len(items), most)
    assert kept[:1] == items[:1]
    at = iter(range(len(items)))
    assert all(any(items[index] == item for index in at) for item in kept)


def test_nothing_weighed_is_a_page_too() -> None:
    assert "Nothing was weighed." in page([])


@pytest.mark.parametrize("reference", ["torch", "absent"])
def test_a_failed_reference_leaves_no_ratio(reference: str) -> None:
    records = [make_record("torch", status="crashed", step_s=[], reason="gone"), make_record("flax")]
    assert "FASTER than" not in page(records, reference)


def test_a_source_tree_that_is_not_installed_writes_a_page_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """It ended in a traceback, after the whole run."""
    monkeypatch.setattr(html, "version", lambda name: None)
    monkeypatch.setattr(html, "git_commit", lambda: "abc1234+")
    assert "abc1234+" in page([make_record("torch")])
