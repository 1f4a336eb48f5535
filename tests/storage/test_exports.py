"""Cards of exports, and what of a folder is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from tests.conftest import TARGET, make_cell
from tests.experiments.exports import table
from weighbridge.bench.core import ModelSpec, Seeded, WeighbridgeError
from weighbridge.bench.core.record import Parity
from weighbridge.bench.report import model_card
from weighbridge.bench.storage import exports
from weighbridge.bench.storage.exports import CARD, DamagedExportError, DataVersion, ModelCard, Port, Proof

PASSED = Parity(ratio=0.9, limit=2.0, passed=True)


def card_of(folder: Path, **changes: object) -> ModelCard:
    found = ModelCard(
        task="tabular-regression", family="regression", task_version=1, preset="small", source="made up",
        licence="none", data=[DataVersion(name="d", version="1", sha256="0" * 64, licence="x|y", source="s")],
        model=ModelSpec(architecture="mlp", config={"hidden": [3]}, weights=Seeded(seed=0)), weights="seeded",
        weights_hash="0" * 16, format="exact", backend="fake", cell=make_cell(), generates=True,
        inputs=[Port(name="x", dtype="float32", sizes=(None, 3))],
        outputs=[Port(name="y", dtype="float32", sizes=(None,))], item="row", score={"r2": 0.5, "other": None},
        target=TARGET, baseline=TARGET, proofs=[Proof(rows=8, parity=PASSED)], loading="a = 1\n    b\x1b = ```",
        note="n", versions={"v": "1"}, exported="2026-11-28T00:00:00+00:00", files=exports.versions_of(folder),
    )  # fmt: skip
    return msgspec.structs.replace(found, **changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export of two files."""
    with exports.in_place_of(tmp_path / "made", force=False) as made:
        (made / "model.bin").write_bytes(b"123")
        (made / "more.bin").write_bytes(b"")
        exports.write(made, card_of(made), "text")
    return tmp_path / "made"


def test_a_card_is_read_as_it_was_written(folder: Path) -> None:
    card = exports.read(folder)
    assert card == card_of(folder)
    assert (card.size_bytes, card.passed) == (3, True)
    exports.verify(folder, card)


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("model.bin", b"124", "model.bin was changed"),
        ("model.bin", b"1234", "model.bin was changed"),
        ("model.bin", None, "model.bin is missing"),
        ("extra.bin", b"", "extra.bin is no part of this export"),
    ],
)
def test_a_file_that_is_not_what_the_card_says_is_named(
    folder: Path, name: str, content: bytes | None, told: str
) -> None:
    (folder / name).unlink(missing_ok=True)
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(DamagedExportError, match=told):
        exports.verify(folder, exports.read(folder))


def test_a_link_is_no_file_of_an_export(folder: Path) -> None:
    (folder / "model.bin").rename(folder.parent / "elsewhere")
    (folder / "model.bin").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(DamagedExportError, match=r"model\.bin is missing"):
        exports.verify(folder, exports.read(folder))


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "a/b", ".hidden", ""])
def test_a_card_that_names_a_file_elsewhere_is_not_read(folder: Path, name: str) -> None:
    card = exports.read(folder)
    files = {name: card.files["model.bin"]}
    exports.write(folder, msgspec.structs.replace(card, files=files), "")
    with pytest.raises(WeighbridgeError, match="cannot be read"):
        exports.read(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 100_000, b'{"schema": 2}'])
def test_a_damaged_card_is_a_line(folder: Path, content: bytes) -> None:
    (folder / CARD).write_bytes(content)
    with pytest.raises(WeighbridgeError, match=r"card\.json cannot be read") as told:
        exports.read(folder)
    assert "\n" not in str(told.value)


def test_an_export_that_fails_leaves_the_one_before(folder: Path) -> None:
    def fails() -> None:
        with exports.in_place_of(folder, force=True) as made:
            (made / "half").touch()
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        fails()
    exports.verify(folder, exports.read(folder))
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_only_an_export_is_replaced_and_only_when_asked(folder: Path) -> None:
    with pytest.raises(WeighbridgeError, match="add --force"), exports.in_place_of(folder, force=False):
        pass
    (folder / "notes.txt").touch()
    with pytest.raises(WeighbridgeError, match="other files"), exports.in_place_of(folder, force=True):
        pass
    (folder / "notes.txt").unlink()
    with exports.in_place_of(folder, force=True) as made:
        (made / "new").touch()
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_the_text_shows_what_the_card_says_and_obeys_none_of_it(folder: Path) -> None:
    failed = Parity(ratio=None, limit=2.0, passed=False)
    card = card_of(folder, proofs=[Proof(rows=8, parity=PASSED), Proof(rows=1, parity=failed)])
    told = model_card.render(card)
    assert "FAILED its check" in told
    assert "| 1 | not finite | 2.00 |  |" in told
    assert r"| d | 1 | x\|y | s |" in told
    assert "    a = 1\n        b\\x1b = ```" in told
    assert "| input | x | float32 | any × 3 |" in told
    assert "The forward pass alone" in told
    assert "\x1b" not in told
    assert "reopened in a fresh process, it computes what" not in told.lower().replace("failed", "")


def test_a_table_of_exports_tells_size_parity_and_score(folder: Path) -> None:
    failed = Proof(rows=1, parity=Parity(ratio=7.0, limit=2.0, passed=False))
    cards = [card_of(folder, format="b", proofs=[failed]), card_of(folder, format="a")]
    _, _, first, second = table(cards).splitlines()
    assert first == r"| tabular-regression\[small\] | a | fake | 3 bytes | 0.900 of 2.00 | 8 | r2 0.500 |"
    assert "7.00 of 2.00 FAILED" in second
