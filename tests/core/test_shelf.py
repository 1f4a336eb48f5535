"""Modules by name, and what is said of one that is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from weighbridge.bench.core import Shelf, WeighbridgeError


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    folder = tmp_path / "shelved"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "resnet.py").write_text("NAME = 'ours'")
    (folder / "_blocks.py").write_text("NAME = 'what twins share'")
    monkeypatch.syspath_prepend(tmp_path)
    return Shelf("twin of architecture", "shelved", [str(folder)], "weighbridge.shelved")


def plug(folder: Path, entries: str) -> None:
    about = folder / "plugged-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[weighbridge.shelved]\n{entries}\n")
    (folder / "theirs.py").write_text("NAME = 'theirs'")


def test_a_file_is_found_by_its_name_and_goes_before_what_is_plugged_in(shelf: Shelf, tmp_path: Path) -> None:
    plug(tmp_path, "winenet = theirs\nresnet = theirs")
    assert shelf.names() == ["resnet", "winenet"]
    assert shelf.load("resnet").NAME == "ours"
    assert shelf.load("winenet").NAME == "theirs"


def test_one_that_is_not_there_says_which_file_to_write(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(WeighbridgeError) as caught:
        shelf.load("winenet")
    wanted = tmp_path / "shelved" / "winenet.py"
    assert str(caught.value) == (
        f"no twin of architecture 'winenet'; write {wanted} or plug one in as weighbridge.shelved; there are resnet"
    )


def test_a_slip_is_told_the_nearest(shelf: Shelf) -> None:
    with pytest.raises(WeighbridgeError, match="did you mean resnet"):
        shelf.load("resnett")
