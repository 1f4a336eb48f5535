"""An interrupt at any moment of the imports: one line and 130, where modules in C would hang, crash, or go on."""

from __future__ import annotations

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from weighbridge.bench.cli import entry
from weighbridge.bench.core import child

Ended = subprocess.CompletedProcess[str]
INTERRUPTED_AT = """
import os, signal, sys
count = 0
def interrupt(frame, event, argument):
    global count
    count += 1
    if count == {event}:
        sys.setprofile(None)
        os.kill(os.getpid(), signal.SIGINT)
class Finder:
    def find_spec(name, path=None, target=None):
        if name == "numpy._core._multiarray_umath":
            sys.setprofile(interrupt)
sys.meta_path.insert(0, Finder)
sys.argv = ["weighbridge", "--version"]
from weighbridge.bench.cli import entry
entry.script()
"""
EVENTS = range(1, 2_500, 60)
"""Calls and returns since NumPy's core began: without the handler it waits forever from the 1,141st to the 1,221st."""


HEARD = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""As in a terminal: a shell has what runs in its background ignore interrupts, and so would what that starts."""
IGNORED = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"


def python(code: str, path: Path = child.ROOT, first: str = HEARD) -> Ended:
    return subprocess.run(
        child.command("-c", f"{first}\n{code}"), capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(child.ROOT)])},
    )  # fmt: skip


def interrupted(event: int, first: str = HEARD) -> Ended:
    return python(INTERRUPTED_AT.format(event=event), first=first)


def test_an_interrupt_while_a_module_in_c_is_imported_is_one_line_and_130() -> None:
    with ThreadPoolExecutor(2) as two:
        runs = two.map(interrupted, EVENTS)
        found = {event: (run.returncode, run.stderr) for event, run in zip(EVENTS, runs, strict=True)}
    assert found == dict.fromkeys(EVENTS, (130, entry.INTERRUPTED))


def test_an_interrupt_that_a_shell_had_ignored_stays_ignored() -> None:
    ended = interrupted(EVENTS[1], IGNORED)
    assert (ended.returncode, ended.stderr) == (0, "")


LATER = """
import msgspec, sys
from weighbridge.bench.cli import entry
entry.hear_interrupts()
try:
    {0}
except KeyboardInterrupt:
    print("raised")
"""
KILL = "__import__('os').kill(__import__('os').getpid(), 2)"


@pytest.mark.parametrize(
    ("done", "code", "out", "err"),
    [
        (KILL, 0, "raised\n", ""),
        ("import interrupts", 130, "", entry.INTERRUPTED),
        (f'msgspec.json.Decoder(msgspec.defstruct("S", [("x", "({KILL}, int)[1]")]))', 130, "", entry.INTERRUPTED),
    ],
    ids=["anywhere else", "a module that is imported later", "types that a decoder is made of later"],
)
def test_after_the_start_it_is_an_exception_wherever_that_is_borne(
    done: str, code: int, out: str, err: str, tmp_path: Path
) -> None:
    (tmp_path / "interrupts.py").write_text(KILL)
    ended = python(LATER.format(done), tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, out, err)
