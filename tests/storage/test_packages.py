"""Data packages: what is refused, what is found damaged, and that fetchers do no harm to each other. No network."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from weighbridge.bench.core import WeighbridgeError
from weighbridge.bench.storage import packages

MEMBERS = {"toy/a.txt": b"alpha", "toy/more/b.bin": b"\0" * 4096, "other/c.txt": b"not wanted"}
MakePin = Callable[..., packages.Package]


@pytest.fixture
def pin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakePin:
    """Makes a wheel called `toy` in an empty cache, and the pin of it; the network is out of reach."""

    def make(
        members: dict[str, bytes] = MEMBERS, wanted: Sequence[str] = ("toy/",), sha256: str = ""
    ) -> packages.Package:
        wheel = tmp_path / "wheels" / "toy-1.0-py3-none-any.whl"
        wheel.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(wheel, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        made = packages.Package(
            name="toy",
            version="1.0",
            sha256=sha256 or hashlib.sha256(wheel.read_bytes()).hexdigest(),
            size_bytes=wheel.stat().st_size,
            licence="CC0",
            source="this test",
            members=list(wanted),
        )
        monkeypatch.setattr(packages, "packages", lambda: {"toy": made})
        return made

    monkeypatch.setenv("WEIGHBRIDGE_DATA", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return make


def refusal(name: str = "toy", call: Callable[[str], object] = packages.fetch) -> str:
    """The one line by which `call` refuses."""
    with pytest.raises(WeighbridgeError) as caught:
        call(name)
    text = str(caught.value)
    assert "\n" not in text
    assert name in text
    return text


def test_only_the_pinned_members_are_unpacked(pin: MakePin) -> None:
    pin()
    heard: list[float] = []
    folder = packages.fetch("toy", heard.append)
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {"toy/a.txt", "toy/more/b.bin", packages.MANIFEST}
    assert (folder / "toy/more/b.bin").read_bytes() == MEMBERS["toy/more/b.bin"]
    assert heard[-1] == 1.0
    assert packages.files(["toy"]) == {"toy": folder}
    assert [each.state for each in packages.listing()] == ["verified"]


def test_a_wheel_with_another_hash_is_refused(pin: MakePin) -> None:
    made = pin(sha256="0" * 64)
    assert "sha256" in refusal()
    assert not made.folder.exists()


def test_a_tampered_wheel_is_found_after_it_was_unpacked(pin: MakePin, tmp_path: Path) -> None:
    pin()
    packages.fetch("toy")
    with next((tmp_path / "wheels").glob("*.whl")).open("ab") as stream:
        stream.write(b"x")
    assert "sha256" in refusal(call=packages.verify)


@pytest.mark.parametrize("name", ["../evil.txt", "toy/../../evil.txt", "/tmp/evil.txt", "toy\\..\\evil.txt"])
def test_a_member_that_would_escape_is_refused(pin: MakePin, tmp_path: Path, name: str) -> None:
    made = pin({"toy/a.txt": b"alpha", name: b"evil"})
    assert "outside" in refusal()
    assert not made.folder.exists()
    assert not list(tmp_path.rglob("evil.txt"))


@pytest.mark.parametrize("content", [b"alphA", b"alp", b""], ids=["tampered", "truncated", "emptied"])
def test_a_changed_file_is_found_before_use_and_fetch_repairs_it(pin: MakePin, content: bytes) -> None:
    victim = pin().folder / "toy/a.txt"
    packages.fetch("toy")
    victim.write_bytes(content)
    assert "weighbridge data fetch toy" in refusal(call=lambda name: packages.files([name]))
    assert [each.state for each in packages.listing()] == ["damaged"]
    packages.fetch("toy")
    assert victim.read_bytes() == b"alpha"


def test_a_removed_file_or_manifest_is_found(pin: MakePin) -> None:
    folder = pin().folder
    for name in ("toy/a.txt", packages.MANIFEST):
        packages.fetch("toy")
        (folder / name).unlink()
        assert "missing" in refusal(call=lambda name: packages.files([name]))


def test_members_that_the_wheel_lacks_are_named(pin: MakePin) -> None:
    pin(wanted=("toy/a.txt", "toy/absent.txt"))
    assert "toy/absent.txt" in refusal()


def test_without_network_it_is_one_line_that_says_what_to_type(pin: MakePin, tmp_path: Path) -> None:
    pin()
    next((tmp_path / "wheels").glob("*.whl")).unlink()
    assert "weighbridge data fetch toy" in refusal(call=lambda name: packages.files([name]))
    assert [each.state for each in packages.listing()] == ["absent"]
    assert not [path for path in (tmp_path / "packages").iterdir() if path.name.startswith(".new-")]


def test_a_full_disk_is_named(pin: MakePin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pin()
    next((tmp_path / "wheels").glob("*.whl")).unlink()
    monkeypatch.setattr(packages.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 0}))
    assert "full" in refusal()


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "sha256"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("WARNING: NewConnectionError: Failed to establish a connection\nERROR: No matching distribution", "reached"),
        ("/usr/bin/python3: No module named pip", "ensurepip"),
        ("ERROR: something new", "something new"),
        ("", "without a word"),
    ],
)
def test_what_pip_says_is_put_in_words(said: str, meant: str) -> None:
    assert meant in packages._reason(said)


def test_an_unknown_name_lists_the_known_ones(pin: MakePin) -> None:
    pin()
    assert "toy" in refusal("tpy")


def test_fetchers_at_the_same_time_do_no_harm(pin: MakePin, tmp_path: Path) -> None:
    made = pin()
    code = (
        "import contextlib, msgspec, sys; from weighbridge.bench.storage import packages as data\n"
        "made = msgspec.json.decode(sys.argv[1], type=data.Package)\n"
        "data.packages = lambda: {'toy': made}\n"
        "for _ in range(20):\n"
        "    data.fetch('toy')\n"
        "    with contextlib.suppress(FileNotFoundError):\n"  # another fetcher may be replacing the folder just now
        "        (made.folder / 'toy/a.txt').write_bytes(b'damaged')\n"
        "data.fetch('toy')\n"
    )
    command = [sys.executable, "-c", code, packages.msgspec.json.encode(made).decode()]
    here = Path(__file__).parents[2]
    fetchers = [subprocess.Popen(command, cwd=here, stderr=subprocess.PIPE) for _ in range(3)]
    said = [fetcher.communicate(timeout=60)[1] for fetcher in fetchers]
    assert [fetcher.returncode for fetcher in fetchers] == [0, 0, 0], said
    packages.fetch("toy")
    packages.verify("toy")
    assert len(list((tmp_path / "packages").iterdir())) == 2, "the folder and its lock, nothing half made"


def test_our_own_pins_are_well_formed() -> None:
    for each in packages.packages().values():
        assert len(each.sha256) == 64
        assert each.licence
        assert each.source
        assert each.members


def test_a_plug_in_takes_no_pin_of_ours_and_runs_no_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = next(iter(packages.packages()))
    for name, content in (("thief", f'[{ours}]\nversion = "1"\n'), ("torn", "x = "), ("climber", '["../../owned"]\n')):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("import os\nos._exit(0)\n")
        pin = 'sha256 = "' + "0" * 64 + '"\nsize_bytes = 1\nlicence = "x"\nsource = "x"\nmembers = []\nversion = "1"\n'
        (tmp_path / name / packages.PINS).write_text(content.replace('version = "1"\n', "").rstrip() + "\n" + pin)
    monkeypatch.syspath_prepend(tmp_path)
    before = packages.packages()[ours]
    entries = [EntryPoint(name, name, "weighbridge.data") for name in ("thief", "torn", "climber", "absent")]
    monkeypatch.setattr(packages, "entry_points", lambda group: entries)
    packages.pins.cache_clear()
    try:
        found = packages.pins()
    finally:
        packages.pins.cache_clear()
    assert found.packages[ours] == before
    assert [problem.split()[0] for problem in found.problems] == ["thief", packages.PINS, packages.PINS, packages.PINS]
