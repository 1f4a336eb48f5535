"""Files of torch.export: what would be unpickled or evaluated is refused before torch reads it."""

from __future__ import annotations

import json
import pickle  # noqa: TID251 -- to write what must never be read
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim, export

from weighbridge.backends.torch_nn import archives
from weighbridge.bench.core import WeighbridgeError

PROGRAM = "models/model.json"


class Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("ran"),))


EVIL = pickle.dumps(Evil())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("program") / "model.pt2"
    module = nn.Sequential(nn.Linear(3, 4), nn.Flatten())
    archives.save(export(module, (torch.ones(2, 3),), dynamic_shapes=({0: Dim.DYNAMIC},), strict=False), found)
    return found


def changed(file: Path, folder: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy whose record `name` is another; made where there is none."""
    with zipfile.ZipFile(file) as old, zipfile.ZipFile(folder / file.name, "w") as new:
        root = old.namelist()[0].split("/")[0]
        for each in old.namelist():
            if each != f"{root}/{name}":
                new.writestr(each, old.read(each))
        before = old.read(f"{root}/{name}") if f"{root}/{name}" in old.namelist() else b""
        new.writestr(f"{root}/{name}", change(before))
    return folder / file.name


def said(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        assert old in content.decode()
        return content.decode().replace(old, new).encode()

    return change


def test_what_is_saved_is_loaded_and_takes_any_number_of_rows(file: Path) -> None:
    module = archives.load(file).module(check_guards=False)
    for rows in (1, 2, 5):
        assert module(torch.ones(rows, 3)).shape == (rows, 4)


def test_a_copy_that_changes_nothing_is_loaded(file: Path, tmp_path: Path) -> None:
    archives.load(changed(file, tmp_path, PROGRAM, lambda content: content))


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("data/sample_inputs/model.pt", lambda _: EVIL, "pickled inputs"),
        ("data/weights/model.pt", lambda _: EVIL, r"data/weights/model\.pt"),
        ("data/constants/opaque_obj_0", lambda _: EVIL, "opaque_obj_0"),
        ("data/aotinductor/model/run.so", lambda _: b"", "aotinductor"),
        (archives.WEIGHTS, said('"use_pickle": false', '"use_pickle": true'), "a pickled 0.weight"),
        (archives.WEIGHTS, said('"weight_0"', '"custom_obj_0"'), "a pickled 0.weight"),
        (PROGRAM, said("torch.ops.aten.linear.default", "torch.hub.load"), r"a call of torch\.hub\.load"),
        (PROGRAM, said("torch.ops.aten.linear.default", "torch.ops.aten.from_file.default"), "a call of .*from_file"),
        (PROGRAM, said("Symbol(", "open("), "an expression"),
        (PROGRAM, said("builtins.tuple", "os.stat_result"), "the structure"),
        (PROGRAM, lambda _: b"{", "is no file of torch.export"),
    ],
)
def test_what_could_run_code_is_refused(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, change: Any, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeighbridgeError, match=told):
        archives.load(changed(file, tmp_path, name, change))
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("Symbol('s87', positive=True, integer=True)", True),
        ("Add(Mul(Integer(2), Symbol('s0', integer=True)), Integer(-1))", True),
        ("s0*2 + 1", True),
        ("__import__('os')", False),
        ("Symbol.__class__", False),
        ("Symbol('exec')", False),
        ("S('1')", False),
        ("(lambda: 1)()", False),
        ("[1]", False),
        ("s0 if s1 else s2", False),
        ("Symbol('s0')\n", True),
        ("1 +", False),
    ],
)
def test_an_expression_of_sizes_is_arithmetic(text: str, is_one: bool) -> None:
    assert archives._is_size(text) == is_one


def test_what_is_no_archive_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "model.pt2").write_bytes(json.dumps({}).encode())
    with pytest.raises(WeighbridgeError, match=r"is no file of torch\.export"):
        archives.load(tmp_path / "model.pt2")
