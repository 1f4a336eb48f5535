"""`weighbridge.run` and `weighbridge.compare` in a notebook."""

from __future__ import annotations

from pathlib import Path

import pytest

import weighbridge
from weighbridge.bench.cli.notebook import Weighed
from weighbridge.bench.core.errors import WeighbridgeError


def weighed(out: Path) -> Weighed:
    return weighbridge.run(
        tasks=["tabular-regression"], backends=["fake", "null"], suite="fake", batch_sizes=[8], out=out, progress=False
    )


def test_a_run_shows_itself_as_text_table_and_page(tmp_path: Path) -> None:
    found = weighed(tmp_path / "one")
    assert not found.failed
    assert (found.folder / "records.jsonl").exists()
    assert repr(found).startswith("tabular-regression on null (batch 8): same answers; ")
    page = found._repr_html_()
    assert page.startswith('<iframe srcdoc="&lt;!doctype html')
    assert 'sandbox="allow-scripts"' in page
    assert "<script" not in page
    table = found.frame().set_index("backend")
    assert table["ratio"]["null"] > 5
    assert len(found.frame(samples=True)) == sum(len(record.step_s) for record in found.records)


def test_two_runs_are_compared(tmp_path: Path) -> None:
    first, second = weighed(tmp_path / "one"), weighed(tmp_path / "two")
    found = weighbridge.compare(first.folder, second.folder, speed=0.5)
    assert not found.failed
    assert repr(found).startswith("No regression")
    assert found._repr_markdown_().startswith("## Weighbridge: No regression")
    assert list(found.frame().columns)[1] == "cell"


def test_a_wrong_request_is_one_line() -> None:
    with pytest.raises(WeighbridgeError, match="did you mean"):
        weighbridge.run(tasks=["semantic-serch"])
    with pytest.raises(AttributeError, match="no attribute 'wiegh'"):
        weighbridge.wiegh  # noqa: B018


def test_what_was_run_here_goes_on_at_the_command_line(tmp_path: Path) -> None:
    import subprocess
    import sys

    found = weighed(tmp_path / "one")
    command = [sys.executable, "-m", "weighbridge", "run", "--resume", "--out", str(found.folder), "--json"]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "[1/2]" not in ended.stderr
