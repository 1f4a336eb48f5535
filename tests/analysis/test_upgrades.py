"""The versions that two runs differ in stand beside what changed."""

from __future__ import annotations

from tests.conftest import make_record, run_of
from weighbridge.bench.analysis import gate
from weighbridge.bench.analysis.gate import Thresholds
from weighbridge.bench.analysis.summary import Run
from weighbridge.bench.analysis.upgrades import upgrades
from weighbridge.bench.report import changes
from weighbridge.bench.report.markup import escape


def run(python: str, **versions: str) -> Run:
    return run_of(make_record("b", environment={"python": python, "versions": versions}))


def test_only_what_differs_and_both_name_is_told() -> None:
    before, after = run("3.11.7", alib="1.0", same="2", gone="1"), run("3.12.1", alib="1.1", same="2", new="1")
    assert upgrades(before, after) == ["alib 1.0, now 1.1", "python 3.11.7, now 3.12.1"]
    assert upgrades(before, before) == []


def test_a_run_of_two_versions_names_both() -> None:
    mixed = run_of(
        make_record("a", environment={"python": "3", "versions": {"alib": "2"}}),
        make_record("b", environment={"python": "3", "versions": {"alib": "1"}}),
    )
    assert upgrades(mixed, run("3", alib="2")) == ["alib 1 and 2, now 2"]


def test_an_old_journal_that_names_no_version_differs_in_none() -> None:
    assert upgrades(run_of(make_record("b", environment={})), run("3.12.1", alib="1")) == []


def test_each_rendering_of_a_comparison_says_it() -> None:
    outcome = gate.judge(run("3", alib="1"), run("3", alib="<2>"), Thresholds())
    assert changes.told_upgrades(outcome) == "Versions: alib 1, now <2>."
    assert escape("Versions: alib 1, now <2>.") in changes.markdown(outcome)
    assert "<2>" not in changes.markdown(outcome)
    assert changes.as_json(outcome)["upgrades"] == ["alib 1, now <2>"]
