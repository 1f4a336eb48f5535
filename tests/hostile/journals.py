"""Journals from outside: read by `report`, `compare` and `frame` without a fault, and without losing a good record."""

from __future__ import annotations

import csv
import io
import json
import random
import sys
from pathlib import Path
from typing import Any

import weighbridge as notebook
from tests import CLONE
from tests.conftest import make_cell, make_record, make_thrice
from tests.hostile.attack import ATTACKS, Attack, Outcome
from tests.hostile.command import CONTROLS, Ended, forked, weighbridge
from tests.hostile.values import damaged, mutated
from tests.storage.test_journals import flat
from weighbridge.bench.storage import coding, journals, lines

GOOD = [coding.encoder.encode(record) for record in (make_thrice("torch"), make_thrice("flax", 0.005))]
OLDER = [json.dumps(flat(make_record(cell=make_cell(batch_size=99)))).encode()]
BASES = [coding.encoder.encode(make_thrice(cell=make_cell(batch_size=99))), *OLDER]
REAL = sorted((CLONE / "results").glob("*/*/records.jsonl"))
KNOWN = (
    b'{"a":' * 3000 + b"1" + b"}" * 3000,
    BASES[0].replace(b'"blocks":[1,1,1]', b'"blocks":[300000000]'),
    BASES[0].replace(b"0.01", b"5e-324"),
    BASES[0].replace(b'"environment":{', b'"environment":7,"x":{'),
    BASES[0].replace(b'"ratio":1.0', b'"ratio":99.0'),
)
"""Each was seen to do harm (docs/reliability.md)."""
CONTRADICTION = 4


def hostile_line(rng: random.Random, number: int) -> bytes:
    """A line that was a record; the first of all are those that once did harm."""
    if number < len(KNOWN):
        return KNOWN[number]
    base = rng.choice([*BASES, _real(rng)])
    if rng.random() < 0.3:
        return damaged(rng, base)
    whole: Any = json.loads(base)
    for _ in range(rng.randint(1, 3)):
        whole = mutated(rng, whole)
    return _text(whole)


def _text(whole: Any) -> bytes:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(20_000)
    try:
        return json.dumps(whole).encode()
    finally:
        sys.setrecursionlimit(limit)


def _real(rng: random.Random) -> bytes:
    return rng.choice(list(lines.read(rng.choice(REAL))) if REAL else BASES)


def attempt(rng: random.Random, folder: Path, number: int) -> Outcome:
    """Put a hostile line among good ones, anywhere."""
    good, bad = folder / "good", folder / "bad"
    lines, hostile = [*GOOD], hostile_line(rng, number)
    lines.insert(rng.randint(0, len(lines)), hostile)
    for path, content in ((good, GOOD), (bad, lines)):
        path.mkdir()
        (path / journals.JOURNAL).write_bytes(b"\n".join(content) + rng.choice((b"\n", b"")))
    reported = weighbridge(["report", "bad"], folder)
    believed = number == CONTRADICTION and b"is no record" not in reported.err
    failed = [f"report: {told}" for told in [*reported.faults, *_after_report(reported, bad)]]
    silent = b"is no record" not in reported.err and hostile.strip() and not coding.parse(hostile)
    failed += ["a damaged line that nobody is told of"] if silent and len(hostile.split(b"\n")) == 1 else []
    failed += ["a parity of 99 by 2 that passed is believed"] if believed else []
    order = rng.choice((["good", "bad"], ["bad", "good"]))
    compared = weighbridge(["compare", *order], folder)
    failed += [f"compare: {told}" for told in [*compared.faults, *_after_compare(compared)]]
    framed = forked(lambda: notebook.frame(bad, samples=True), folder)
    failed += [f"frame: {framed.err.decode(errors='replace')[-300:]}"] if framed.code else []
    return Outcome(failed=failed)


def _after_report(ended: Ended, folder: Path) -> list[str]:
    if ended.code != 0:
        return [f"exit code {ended.code}: {ended.err.decode(errors='replace')[-300:]}"]
    content = (folder / "report.csv").read_text(encoding="utf-8")
    backends = [row["backend"] for row in csv.DictReader(io.StringIO(content, newline=""))]
    lost = [name for name in ("torch", "flax") if name not in backends]
    found = [f"the good record of {name} is lost" for name in lost]
    for name in ("report.md", "report.csv", "report.html"):
        found += [f"{sign!r} in {name}" for sign in CONTROLS if sign in (folder / name).read_bytes()]
    return found


def _after_compare(ended: Ended) -> list[str]:
    text = ended.out.decode(errors="replace")
    return ["exit code 1 without a regression"] if ended.code == 1 and "regress" not in text.lower() else []


ATTACKS["journals"] = Attack(
    name="journals",
    promise="read without a fault, in bounded memory; good records beside it are kept; a bad one is told by its line",
    attempt=attempt,
    short=150,
    long=10_000,
)
