from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable

import pytest
from rich.console import Console

from tests.conftest import make_cell, make_record
from weighbridge.bench.cli.progress import Display

HOSTILE = ["[red]x[/red]", "[/]", "[link=file:///etc]y", ":smile:", "{cell}", "%s", "naïve-机器"]
QUIET_S = 0.6
"""More than two pictures of a display that redraws four times a second."""


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Time that passes only when told to."""
    now = [1000.0]

    def passes(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return passes


def make_console(terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=200), file


def show_cells(display: Display, names: list[str]) -> None:
    for name in names:
        display.started(make_cell(name))
        display.phase("time")
        display.progress(0.5)
        display.finished(make_record(name, wall_s=1.5))


def test_without_a_terminal_each_finished_cell_is_one_line_and_no_more() -> None:
    console, file = make_console(terminal=False)
    with Display(console, done=1, total=4) as display:
        show_cells(display, ["one", "two"])
        display.finished(make_record("three", status="oom", reason="no memory", wall_s=0.25))
    lines = file.getvalue().strip("\n").split("\n")
    assert [line.split("]")[0] for line in lines] == ["[2/4", "[3/4", "[4/4"]
    assert f"{make_cell('one')}  ok  (1.5" in lines[0]
    assert f"{make_cell('three')}  oom: no memory  (250" in lines[2]
    assert "\x1b" not in file.getvalue()


def test_on_a_terminal_it_shows_the_cell_what_it_does_and_how_many_are_done() -> None:
    console, file = make_console(terminal=True)
    with Display(console, done=1, total=3) as display:
        display.started(make_cell("one"))
        assert f"1/3 done  {make_cell('one')}  starting" in file.getvalue()
        display.phase("score")
        display.progress(0.25)
        assert "score 25%" in file.getvalue()
        display.phase("time")
        assert file.getvalue().rstrip().endswith("time")
        display.finished(make_record("one"))
        assert f"[2/3] {make_cell('one')}  ok" in file.getvalue()
        assert "2/3 done" in file.getvalue()
    assert display.done == 2


@pytest.mark.parametrize("terminal", [False, True])
@pytest.mark.parametrize("name", HOSTILE)
def test_names_are_shown_as_they_are(name: str, terminal: bool) -> None:
    console, file = make_console(terminal)
    with Display(console, done=0, total=1) as display:
        display.started(make_cell(name))
        assert (str(make_cell(name)) in file.getvalue()) == terminal
        display.finished(make_record(name, status="crashed", reason=f"because {name}"))
    assert f"[1/1] {make_cell(name)}  crashed: because {name}\n" in file.getvalue()


def test_the_longest_line_is_not_broken() -> None:
    console, file = make_console(terminal=False)
    with Display(console, done=0, total=1) as display:
        display.finished(make_record(status="crashed", reason="very " * 200 + "long"))
    assert len(file.getvalue().strip("\n").split("\n")) == 1


def test_progress_is_drawn_by_whole_percents() -> None:
    console, file = make_console(terminal=True)
    with Display(console, done=0, total=1) as display:
        display.started(make_cell())
        display.phase("score")
        before = file.getvalue().count("score")
        for step in range(10_001):
            display.progress(step / 10_000)
        drawn = file.getvalue().count("score") - before
    assert 90 <= drawn <= 101


def test_time_left_is_unknown_at_first_and_falls_after(clock: Callable[[float], None]) -> None:
    console, file = make_console(terminal=True)
    with Display(console, done=2, total=6) as display:
        clock(30)
        assert display.time_left_s() is None
        display.started(make_cell("one"))
        assert "left" not in file.getvalue()
        left = []
        for _ in range(4):
            clock(30)
            display.finished(make_record("one"))
            left.append(display.time_left_s())
    assert left == [180, 90, 40, 0]  # the mean of this session's cells, of which the first took 60 s
    assert "about 3:00 left" in file.getvalue()
    assert "about 0:40 left" in file.getvalue()


def test_preparation_has_a_line_where_it_took_long_and_is_no_measure_of_the_cells_to_come(
    clock: Callable[[float], None],
) -> None:
    console, file = make_console(terminal=False)
    with Display(console, done=0, total=3) as display:
        for took in (90.0, 0.5):
            clock(took)
            display.prepared(make_cell(task="slow" if took > 1 else "quick"), took)
        clock(20)
        display.finished(make_record())
        assert display.time_left_s() == 40
    assert "slow[small] infer: the reference is prepared  (90.0 s)" in file.getvalue()
    assert "quick" not in file.getvalue()


def test_time_left_has_no_sixtieth_second(clock: Callable[[float], None]) -> None:
    console, file = make_console(terminal=True)
    with Display(console, done=0, total=2) as display:
        clock(119.7)
        display.finished(make_record())
    assert ":60 left" not in file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_nothing_is_drawn_between_events_and_no_thread_is_started(terminal: bool) -> None:
    console, file = make_console(terminal)
    threads = threading.active_count()
    with Display(console, done=0, total=2) as display:
        display.started(make_cell())
        display.phase("time")
        drawn = file.getvalue()
        assert threading.active_count() == threads
        time.sleep(QUIET_S)
        assert file.getvalue() == drawn
        display.finished(make_record())
        assert threading.active_count() == threads
    assert threading.active_count() == threads


def test_the_cursor_comes_back_when_a_run_fails() -> None:
    console, file = make_console(terminal=True)

    def interrupted() -> None:
        with Display(console, done=0, total=1) as display:
            display.started(make_cell())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert file.getvalue().rfind("\x1b[?25h") > file.getvalue().rfind("\x1b[?25l")
