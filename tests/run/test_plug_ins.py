"""Nine ways in which an installed plug-in misbehaves, all in one run: each costs its own cells and nothing else.

They are entry points of one distribution. Each writes down in which process its code ran: never in the parent.
What else plug-ins do, as files, is in tests/hostile/plug_ins.py.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from weighbridge.bench.core import child
from weighbridge.bench.core.record import Record
from weighbridge.bench.storage import journals

BACKEND = """
import math, os, time
with open({mark!r}, "a") as file:
    file.write(f"{module} {{os.getpid()}}\\n")
{top}
from weighbridge.backends.fake import Fake, FakeSession

class Session(FakeSession):
    def step(self, x):
        {step}
        return super().step(x)

    def to_host(self, y):
        found = super().to_host(y)
        {host}
        return found

class Hostile(Fake):
    name = {name!r}
    hidden = False

    def open(self, model, weights, cell):
        opened = self.loaded(model, weights, cell, {fault!r})
        opened.__class__ = Session
        return opened
"""
TASK = """
import os
from dataclasses import replace
with open({mark!r}, "a") as file:
    file.write(f"{module} {{os.getpid()}}\\n")
from weighbridge.tasks import tabular_regression
TASK = replace(tabular_regression.TASK, name={name!r}, source="another's")
"""


class Way(NamedTuple):
    """Parts of a plug-in, and how its cell ends."""

    status: str
    reason: str
    parts: Mapping[str, str]


WAYS: Mapping[str, Way] = {
    "no-import": Way("skipped", "RuntimeError: not today", {"top": "raise RuntimeError('not today')"}),
    "hang-import": Way("skipped", "no answer within 10 s", {"top": "time.sleep(1000)"}),
    "hang-step": Way("timeout", "raise it with --time-limit", {"step": "time.sleep(1000)"}),
    "fork": Way("ok", "", {"step": "vars(self).setdefault('copies', []) or self.copies.append(os.fork())"}),
    "flood": Way("ok", "", {"step": "os.write(1, b'x' * 2**16); os.write(2, b'y' * 2**16)"}),
    "nan": Way("parity_failed", "not finite", {"host": "found = {name: y * math.nan for name, y in found.items()}"}),
    "early": Way("implausible", "it returns early", {"fault": "early"}),
    "remember": Way("implausible", "it remembers", {"fault": "remember"}),
    "other-name": Way(
        "skipped", "takes the name 'fake' of weighbridge.backends.fake; rename or uninstall it", {"name": "fake"}
    ),
}  # fmt: skip
LIMIT_S = "25"


class Ended(NamedTuple):
    """A run beside all of them."""

    pid: int
    code: int
    told: str
    records: Mapping[str, Record]
    ran_in: Mapping[str, set[int]]


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> Ended:
    folder = tmp_path_factory.mktemp("plugged")
    mark = str(folder / "marks")
    lines = ["[weighbridge.backends]"]
    for entry, way in WAYS.items():
        module = f"weighbridge_{entry.replace('-', '_')}"
        plain = {"top": "", "step": "pass", "host": "pass", "fault": "", "name": entry}
        (folder / f"{module}.py").write_text(BACKEND.format(mark=mark, module=entry, **{**plain, **way.parts}))
        lines.append(f"{entry} = {module}")
    for entry, name in (("tabular-regression", "plugged-task"), ("other-task", "tabular-regression")):
        module = f"weighbridge_of_{entry.replace('-', '_')}"
        (folder / f"{module}.py").write_text(TASK.format(mark=mark, module=entry, name=name))
        lines += ["[weighbridge.tasks]"] * (entry == "tabular-regression") + [f"{entry} = {module}"]
    about = folder / "hostile-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: hostile\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("\n".join(lines))
    paths = [str(folder), str(child.ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    words = [
        "run", "--suite", "fake", "--tasks", "tabular-regression", "--backends", ",".join(["fake", *WAYS]),
        "--batch-sizes", "1", "--time-limit", LIMIT_S, "--out", "out",
    ]  # fmt: skip
    with subprocess.Popen(
        child.command("-m", "weighbridge", *words),
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "WEIGHBRIDGE_DATA": str(folder / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        told, _ = process.communicate()
    marks = [line.split() for line in Path(mark).read_text().splitlines()]
    ran_in = {entry: {int(pid) for name, pid in marks if name == entry} for entry, _ in marks}
    records = {record.cell.backend: record for record in journals.read(folder / "out" / journals.JOURNAL)[0]}
    return Ended(process.pid, process.returncode, told, records, ran_in)


@pytest.mark.parametrize("entry", WAYS)
def test_a_plug_in_that_misbehaves_costs_its_own_cells(ended: Ended, entry: str) -> None:
    way, record = WAYS[entry], ended.records[entry]
    assert (record.status, way.reason in record.reason) == (way.status, True), record.reason


def test_the_other_cells_are_ok_and_the_run_says_that_some_failed(ended: Ended) -> None:
    assert ended.records["fake"].status == "ok"
    assert ended.records["fake"].about is not None
    assert "scikit-learn" in ended.records["fake"].about.source
    assert (ended.code, "Traceback" in ended.told) == (1, False), ended.told


def test_its_code_ran_in_other_processes_than_the_parent(ended: Ended) -> None:
    assert ended.ran_in.keys() == {*WAYS, "tabular-regression", "other-task"}
    assert all(pids and ended.pid not in pids for pids in ended.ran_in.values())
