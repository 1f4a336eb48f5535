"""A run with every kind of ending, and names that would like to be markup, paths, formulas or shell commands."""

from __future__ import annotations

from tests.conftest import FACTS, make_cell, make_record
from weighbridge.bench.core import Target
from weighbridge.bench.core.record import Noise, Parity, Provenance, Record

SCRIPT = "<script>alert(1)</script>"
PATH = "../../etc/passwd"
NAMES = (
    SCRIPT, PATH, "</script><script>alert(2)</script>", "<img src=x onerror=alert(3)>", "'; touch /tmp/owned; '",
    '"><svg onload=alert(4)>', "=HYPERLINK(1)", "{{ 7 * 7 }}", "a|b`c`\\d\u2028e", "]]>--><b>bold</b>",
)  # fmt: skip
MACHINE = {
    "machine": SCRIPT, "cpu": "<b>cpu</b>", "instruction_set": "<i>AMX</i>", "cpus": [0, 1], "memory_bytes": 2**34,
    "gpus": [PATH], "python": "3.11", "commit": "</footer>", "versions": {"<i>": PATH},
}  # fmt: skip
TARGET = Target(metric=SCRIPT, value=0.5, higher_is_better=True, source=PATH)
ABOUT = Provenance(
    source=SCRIPT,
    licence="<a href=x>",
    weights="trained",
    item=SCRIPT,
    target=TARGET,
    baseline=TARGET,
    family=SCRIPT,
    contenders=[SCRIPT, PATH],
)


def endings() -> list[Record]:
    """Every status, UNSURE, memory that is n/a, a score that is no number, a failed gate, an unequal footing."""
    wild = [0.02 * factor for factor in (0.5, 2.0, 0.7, 1.6, 1.0, 0.6, 1.9, 0.8, 1.3, 1.1)]
    failed = Parity(ratio=None, limit=2.0, passed=False, output=SCRIPT)
    return [
        make_record("torch", 0.02, environment=MACHINE, facts={**FACTS, "camp": SCRIPT}),
        make_record("unsure", wild),
        make_record("fast", 0.01, device_peak_bytes=2**31, noise=Noise(warnings=[SCRIPT])),
        make_record("no-memory", 0.015, host_peak_bytes=None),
        make_record("nan-score", 0.015, score={"r2": None}),
        make_record("below-gate", 0.001, score={"r2": 0.1}),
        make_record("unequal", 0.001, facts={**FACTS, "threads": 64}),
        make_record("memoising", 0.00001, status="implausible", reason="1,034 % of the roof"),
        make_record("absent", status="skipped", reason="needs x; type: pip install x", parity=None, step_s=[]),
        make_record("big", status="oom", reason="out of memory: 80 GiB", parity=None, step_s=[]),
        make_record("slow", status="timeout", reason="took longer than 600 s", parity=None, step_s=[]),
        make_record("dead", status="crashed", reason="worker killed by SIGKILL", parity=None, step_s=[]),
        make_record("wrong", status="parity_failed", reason="error is 400", parity=failed, step_s=[]),
    ]


def named() -> list[Record]:
    """Each hostile name as a task, a backend, a reason and a fact."""
    return [
        make_record(
            cell=make_cell(name, task=name), about=ABOUT, environment=MACHINE, reason=name,
            facts={name: name, "camp": name, "fault_cost_s": name}, minor_faults=[[1.0]],
            status="ok" if index % 2 else "crashed", started=name,
        )
        for index, name in enumerate(NAMES)
    ]  # fmt: skip


def records() -> list[Record]:
    """All of them."""
    return [*endings(), *named()]
