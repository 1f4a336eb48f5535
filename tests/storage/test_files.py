"""Whole or not at all."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import make_record
from weighbridge.bench.core.errors import WeighbridgeError
from weighbridge.bench.storage import files, journals
from weighbridge.bench.storage.files import in_place_of, write_whole
from weighbridge.bench.storage.prepared import compile_cache


def test_a_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "x.json"
    for content in (b"first, longer", b"second"):
        write_whole(path, content)
        assert path.read_bytes() == content
    assert [each.name for each in path.parent.iterdir()] == ["x.json"]


def test_a_write_that_fails_leaves_the_old_file_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    write_whole(path, b"old")

    def refuse(self: Path, target: Path) -> None:
        raise OSError("read-only")

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OSError, match="read-only"):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_write_that_is_cut_short_leaves_nothing_of_it(tmp_path: Path) -> None:
    def fill(file: Path) -> None:
        with in_place_of(file) as made:
            made.write_bytes(b"half")
            raise OSError("disk full")

    write_whole(tmp_path / "x", b"before")
    with pytest.raises(OSError, match="full"):
        fill(tmp_path / "x")
    assert [each.read_bytes() for each in tmp_path.iterdir()] == [b"before"]


def test_files_have_one_mode(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", b"x")
    assert (tmp_path / "a").stat().st_mode & 0o777 == files.MODE


@pytest.mark.parametrize("name", ["records.jsonl", "records.jsonl.lock"])
def test_a_planted_link_is_refused(name: str, tmp_path: Path) -> None:
    victim, out = tmp_path / "victim", tmp_path / "out"
    victim.write_text("precious")
    out.mkdir()
    (out / name).symlink_to(victim)
    with pytest.raises(WeighbridgeError, match="symbolic link"), journals.writing(out) as journal:
        journals.append(journal, make_record())
    assert victim.read_text() == "precious"


def test_a_cache_that_is_held_stays_and_one_that_nobody_holds_is_swept(tmp_path: Path) -> None:
    (tmp_path / "compiled-foo-bar").mkdir()
    (tmp_path / "compiled-4194000-old").mkdir()
    with compile_cache(tmp_path) as ours:
        (ours / "program").write_text("x")
        with compile_cache(tmp_path) as theirs:
            assert sorted(tmp_path.glob("compiled-*")) == sorted([ours, theirs])
        assert (ours / "program").exists()
    assert not list(tmp_path.glob("compiled-*"))


HOLD = """
import os, sys
from pathlib import Path
from weighbridge.bench.storage.prepared import compile_cache
with compile_cache(Path(sys.argv[1])) as folder:
    print(os.getpid(), folder, flush=True)
    sys.stdin.read()
"""
ALONE = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]


def test_a_cache_that_is_held_in_another_container_stays_until_that_ends(tmp_path: Path) -> None:
    """In a PID namespace of its own, where its number is that of some process here, or of none."""
    if shutil.which(ALONE[0]) is None or subprocess.run([*ALONE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine lets nobody make a PID namespace")
    command = [*ALONE, sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as there:
        assert there.stdin is not None
        assert there.stdout is not None
        number, theirs = there.stdout.readline().split()
        assert int(number) < 10
        with compile_cache(tmp_path) as ours:
            assert sorted(tmp_path.glob("compiled-*")) == sorted([ours, Path(theirs)])
        there.kill()
        assert not there.stdout.read()  # which ends when all of them have
    with compile_cache(tmp_path) as ours:
        assert list(tmp_path.glob("compiled-*")) == [ours]
