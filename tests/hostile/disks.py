"""Folders that cannot be written to, full disks, and links that somebody planted."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable
from pathlib import Path

from tests.hostile.attack import ATTACKS, Attack, Outcome
from tests.hostile.plug_ins import faults, run
from weighbridge.bench.storage import journals

OUT = ["run", "--suite", "fake", "--batch-sizes", "1,2", "--out"]
Case = Callable[[random.Random, Path], list[str]]


def _run(folder: Path, out: str, codes: tuple[int, ...]) -> list[str]:
    ended = run([*OUT, out], folder)
    lines = [line for line in ended.stderr.decode(errors="replace").splitlines() if line.startswith("weighbridge: ")]
    told = faults(ended, codes)
    told += (
        [f"{len(lines)} lines that say what is wrong: {ended.stderr[-300:]!r}"]
        if len(lines) != 1 and ended.returncode
        else []
    )
    return told + [f"left {each.name}" for each in folder.rglob("tmp*.partial") if "cache" not in each.parts]


def _a_file(rng: random.Random, folder: Path) -> list[str]:
    (folder / "out").write_text("mine")
    return _run(folder, "out", (2,)) + ([] if (folder / "out").read_text() == "mine" else ["the file is lost"])


def _a_journal(rng: random.Random, folder: Path) -> list[str]:
    return _run(folder, "out/records.jsonl", (2,))


def _too_long(rng: random.Random, folder: Path) -> list[str]:
    return _run(folder, "x" * rng.choice((256, 5000)), (2,))


def _read_only(rng: random.Random, folder: Path) -> list[str]:
    return _run(folder, rng.choice(("/proc/mine", "/sys/mine", "/proc/version/mine")), (2,))


def _planted(rng: random.Random, folder: Path) -> list[str]:
    victim, out = folder / "victim", folder / "out"
    victim.write_text("precious")
    out.mkdir()
    name = rng.choice(("records.jsonl.lock", "records.jsonl", "records.partial", "records.damaged"))
    if name in ("records.partial", "records.damaged"):  # written when a journal is mended
        (out / journals.JOURNAL).write_bytes(b'{"torn')
    (out / name).symlink_to(victim)
    ended = run([*OUT, "out", "--resume"], folder)
    told = faults(ended, (2,))
    return told + ([] if victim.read_text() == "precious" else [f"wrote through {name}"])


def _full(rng: random.Random, folder: Path) -> list[str]:
    """A limit on the size of files answers a write as a full disk does, with an error, and needs no rights."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (rng.choice((0, 10, 100, 500, 2_000, 4_000)), before[1]))
    try:
        told = _run(folder, "out", (1, 2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    records, damaged = journals.read(folder / "out" / journals.JOURNAL)
    told += [f"half a record: {each.line[:80]!r}" for each in damaged]
    again = run([*OUT, "out", "--resume"], folder)
    records = journals.read(folder / "out" / journals.JOURNAL)[0]
    found = sorted(record.cell.batch_size for record in {record.cell: record for record in records}.values())
    return told + faults(again, (0, 1, 2)) + ([] if found == [1, 2] else [f"after --resume {found} of [1, 2]"])


CASES: tuple[Case, ...] = (_a_file, _a_journal, _too_long, _read_only, _planted, _full)


def attempt(rng: random.Random, folder: Path, number: int) -> Outcome:
    """Write where nothing can be written."""
    chosen = CASES[number % len(CASES)]
    return Outcome(failed=[f"{chosen.__name__}: {told}" for told in chosen(rng, folder)])


ATTACKS["disks"] = Attack(
    name="disks",
    promise="one line and exit code 2, or 1 where a record is lost; nothing half written, nothing through a link",
    attempt=attempt,
    short=12,
    long=120,
)
