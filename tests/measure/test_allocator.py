"""Which allocator a process has, asked of processes that were given one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.measure import allocator

TELL = "from weighbridge.bench.measure import allocator; print(allocator.effective())"


def told_by_a_process(variables: dict[str, str]) -> str:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_", "LD_"))}
    return subprocess.check_output([sys.executable, "-c", TELL], env={**own, **variables}, text=True).strip()


@pytest.mark.skipif(not allocator.glibc(), reason="another libc: its allocator is not ours to set")
@pytest.mark.parametrize(
    ("name", "ending"),
    [("keep", "pages kept"), ("stock", "as it comes"), ("huge", "pages kept, huge pages asked for")],
)
def test_a_process_has_what_it_was_given(name: str, ending: str) -> None:
    assert told_by_a_process(allocator.variables(name)) == f"{allocator.glibc()}, {ending}"


def test_it_is_read_back_and_not_believed() -> None:
    """Settings that say less than they should are found out."""
    assert told_by_a_process({"MALLOC_TOP_PAD_": "268435456"}).endswith("as it comes")


@pytest.mark.parametrize("name", ["jemalloc", "tcmalloc"])
def test_another_allocator_is_named_where_it_is_installed_and_else_what_to_type(name: str) -> None:
    if allocator.library(name):
        assert told_by_a_process(allocator.variables(allocator.chosen(name))).startswith(name)
    else:
        with pytest.raises(WeighbridgeError, match=f"no {name} on this machine; type: apt-get install lib"):
            allocator.chosen(name)


def test_a_library_that_is_loaded_is_named(tmp_path: Path) -> None:
    maps = tmp_path / "maps"
    maps.write_text("7f00-7f01 r-xp 00000000 08:01 99 /usr/lib/libjemalloc.so.2\n")
    assert allocator.effective(maps).startswith("jemalloc")


def test_another_libc_is_not_said_to_keep_its_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "glibc", lambda: "")
    assert allocator.effective(Path("/nonexistent")).endswith("as it comes")


def test_an_unknown_one_gets_a_hint() -> None:
    with pytest.raises(WeighbridgeError, match="did you mean 'jemalloc'"):
        allocator.chosen("jemaloc")
