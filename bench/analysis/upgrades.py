"""Which versions two runs differ in, so that what an upgrade changed is read beside its name."""

from __future__ import annotations

from collections import defaultdict

from weighbridge.bench.analysis.summary import Run

Versions = dict[str, set[str]]


def versions_of(run: Run) -> Versions:
    """Name of a distribution, or `python` -> its versions in all records of a run; most often one."""
    found: Versions = defaultdict(set)
    for each in run.cells.values():
        for name, version in {"python": each.python, **each.versions}.items():
            if version:
                found[name].add(version)
    return found


def upgrades(before: Run, after: Run) -> list[str]:
    """Return each distribution whose version differs, of those that both runs name: `torch 2.13.0, now 2.15.0`."""
    was, now = versions_of(before), versions_of(after)
    differ = sorted(name for name in was.keys() & now.keys() if was[name] != now[name])
    return [f"{name} {_listed(was[name])}, now {_listed(now[name])}" for name in differ]


def _listed(versions: set[str]) -> str:
    return " and ".join(sorted(versions))
