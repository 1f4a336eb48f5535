"""The plugin in a pytest of its own, on the fake backend."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import weighbridge
from weighbridge.bench.cli.benchmarks import Replay, too_slow
from weighbridge.bench.measure.statistics import Interval

CELLS = str(Path(str(weighbridge.__file__)).parent / "bench" / "cli" / "suite_under_pytest.py")
FAKE = ["--weighbridge-suite", "fake", "--benchmark-only"]


def run_pytest(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", CELLS, "-p", "no:cacheprovider", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_replayed_durations_are_the_samples_exactly() -> None:
    replay = Replay()
    replay.samples = [0.1, 0.2, 1e-9]
    durations = []
    for _ in replay.samples:
        start = replay()
        durations.append(replay() - start)
    assert durations == replay.samples


def test_its_json_holds_the_workers_samples(tmp_path: Path) -> None:
    ended = run_pytest(*FAKE, f"--benchmark-json={tmp_path / 'out.json'}", "--benchmark-save-data")
    assert ended.returncode == 0, ended.stdout
    benchmarks = json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    assert len(benchmarks) == 4
    for benchmark in benchmarks:
        assert abs(benchmark["stats"]["median"] - 0.01) < 0.0003
        assert benchmark["extra_info"]["parity"]["passed"]
        assert set(benchmark["extra_info"]["score"]) == {"r2", "rmse"}
        assert benchmark["extra_info"]["host_peak_bytes"] > 0
        assert 0 <= benchmark["extra_info"]["crowded_blocks"] <= benchmark["extra_info"]["blocks"] > 0


def test_a_plain_pytest_weighs_nothing() -> None:
    ended = run_pytest()
    assert "1 deselected" in ended.stdout


BOTH = [*FAKE, "--weighbridge-backends", "fake,null", "--weighbridge-batch-sizes", "8"]


def run_undisturbed(out: Path, *words: str) -> tuple[subprocess.CompletedProcess[str], bool]:
    """Again where a neighbour left no verdict; and whether one was beside most blocks three times."""
    crowded: list[bool] = []
    for _ in range(3):
        ended = run_pytest(*words, f"--benchmark-json={out}")
        if "UNSURE" not in ended.stdout:
            return ended, False
        told = [each["extra_info"] for each in json.loads(out.read_text())["benchmarks"]]
        crowded.append(any(2 * each["crowded_blocks"] > each["blocks"] for each in told))
    return ended, all(crowded)


@pytest.mark.alone
def test_a_group_is_weighed_once_and_its_verdicts_are_shown(tmp_path: Path) -> None:
    ended, disturbed = run_undisturbed(tmp_path / "out.json", *BOTH)
    assert ended.returncode == 0, ended.stdout
    found = {
        b["extra_info"]["cell"].split()[1]: b["extra_info"]
        for b in json.loads((tmp_path / "out.json").read_text())["benchmarks"]
    }
    assert found["fake"]["verdict"] is None
    if disturbed:  # what is promised beside neighbours: no verdict, and no build that fails
        assert found["null"]["verdict"] == "UNSURE"
        return
    assert found["null"]["verdict"] == "FASTER"
    assert 5 < found["null"]["interval"]["low"] <= found["null"]["ratio"] <= found["null"]["interval"]["high"] < 11
    (line,) = [line for line in ended.stdout.splitlines() if "null" in line and line.endswith("FASTER")]
    assert "×" in line


@pytest.mark.alone
@pytest.mark.parametrize(("at_least", "code"), [("5", 0), ("20", 1)])
def test_a_threshold_fails_what_is_slower_with_its_whole_interval(at_least: str, code: int, tmp_path: Path) -> None:
    ended, disturbed = run_undisturbed(tmp_path / "out.json", *BOTH, "--weighbridge-at-least", at_least)
    expected = 0 if disturbed else code
    assert ended.returncode == expected, ended.stdout
    assert ("at least 20× wanted" in ended.stdout) is (expected == 1)


@pytest.mark.parametrize(
    ("high", "floor", "sure", "fails"), [(0.9, 0.02, True, True), (0.94, 0.02, True, False), (0.5, 0.02, False, False)]
)
def test_a_ratio_fails_beyond_the_noise_floor_and_of_processes_enough(
    high: float, floor: float, sure: bool, fails: bool
) -> None:
    assert too_slow(Interval(high - 0.01, high - 0.02, high), floor, sure, at_least=0.95) is fails


def pytest_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A pytest that names no file, as somebody types it in a project of their own."""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rs", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


OF_THEIRS = {
    "nothing": "",
    "tests": "def test_theirs():\n    pass\n\n\ndef test_another():\n    pass\n",
    "a fixture called weigh": "import pytest\n\n@pytest.fixture\ndef weigh():\n    return 1\n\n"
    "def test_x(weigh):\n    pass\n",
}


@pytest.mark.parametrize("theirs", OF_THEIRS)
def test_the_suite_is_weighed_from_any_folder_and_nothing_is_listed_as_skipped(tmp_path: Path, theirs: str) -> None:
    (tmp_path / "test_theirs.py").write_text(OF_THEIRS[theirs])
    ended = pytest_in(tmp_path, *FAKE, "--weighbridge-batch-sizes", "8")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "1 passed" in ended.stdout
    assert "skipped" not in ended.stdout


def test_in_the_clone_it_collects_none_of_our_tests() -> None:
    ended = pytest_in(Path(__file__).parents[2], *FAKE, "--collect-only", "-q")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "4 tests collected" in ended.stdout


def test_their_benchmarks_are_theirs_alone_unless_a_suite_is_named(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text("def test_theirs(benchmark):\n    benchmark(lambda: None)\n")
    without, asked = (
        pytest_in(tmp_path, "--benchmark-only", *words) for words in ([], ["--weighbridge-suite", "fake"])
    )
    assert "1 passed" in without.stdout
    assert "test_cell" not in without.stdout
    assert "5 passed" in asked.stdout


def test_a_test_of_ones_own_weighs_by_the_fixture(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_memory(weigh):\n    assert weigh().host_peak_bytes < 2**40\n")
    ended = pytest_in(tmp_path, *FAKE, "--weighbridge-batch-sizes", "8", "test_mine.py")
    assert "test_memory[tabular-regression[small]-fake-infer-fp32-b8-cpu]" in ended.stdout
    assert "1 passed" in ended.stdout
    assert "1 deselected" in pytest_in(tmp_path, "-v").stdout


def test_a_pytest_that_asks_nothing_of_us_imports_nothing_of_us(tmp_path: Path) -> None:
    (tmp_path / "test_theirs.py").write_text(
        "import sys\n\n\ndef test_theirs():\n"
        "    ours = {name for name in sys.modules if name.split('.')[0] == 'weighbridge'}\n"
        "    above = {'weighbridge', 'weighbridge.bench', 'weighbridge.bench.cli'}\n"
        "    assert ours == above | {'weighbridge.bench.cli.pytest_plugin'}\n"
        "    assert not {'msgspec', 'numpy', 'pandas', 'torch'} & set(sys.modules)\n"
    )
    ended = pytest_in(tmp_path, "-p", "no:hypothesispytest", "-p", "no:jaxtyping")
    assert ended.returncode == 0, ended.stdout


def test_pytest_help_is_shown(tmp_path: Path) -> None:
    ended = pytest_in(tmp_path, "--help")
    assert ended.returncode == 0
    assert "0.95 allows 5 % more time" in " ".join(ended.stdout.split())


def test_an_unknown_suite_ends_the_collection_with_a_hint() -> None:
    ended = run_pytest("--weighbridge-suite", "quikc", "--benchmark-only")
    assert ended.returncode == 2
    assert "did you mean 'quick'?" in ended.stdout + ended.stderr
