"""Whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.storage.files import write_whole


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
