from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

import pynvml
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from weighbridge.bench.measure import environment
from weighbridge.tasks import text_classification

SAFE = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
KEYS = {"machine", "cpu", "cpus", "cpu_mhz", "memory_bytes", "load_1min", "gpus", "system", "python", "versions"}
KEYS |= {"threads", "commit", "instruction_set"}
nameable = st.text(st.characters(codec="utf-8", exclude_characters="\0"))


def named(name: str) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WEIGHBRIDGE_MACHINE", name)
        return environment.machine_name()


@given(nameable | st.text("./\\-~ a", min_size=1))
@example("../../etc/passwd")
@example("/absolute")
@example("..")
@example("~root")
@example("C:\\Windows")
@example("a\nb\x1b[31m")
@example("机器")
@example("x" * 5000)
def test_any_machine_name_is_one_safe_folder(name: str) -> None:
    assert SAFE.fullmatch(named(name))


def test_a_machine_name_stays_readable_and_an_empty_one_is_the_hardware() -> None:
    assert named("Rack 7 / H100") == "rack-7-h100"
    assert named("机器") == "machine"
    assert SAFE.fullmatch(named(""))
    assert named("") != "machine"


@pytest.mark.parametrize(
    ("info", "model", "instructions"),
    [
        ({"model name": "AMD EPYC", "cpu family": "23", "model": "1", "flags": "fpu avx avx2"},
         "AMD EPYC family 23 model 1", "AVX2"),
        ({"model name": "Xeon 8481C", "cpu family": "6", "model": "143", "flags": "avx2 avx512f avx512_bf16 amx_tile"},
         "Xeon 8481C", "AVX2, AVX-512, AVX-512 BF16, AMX"),
        ({"model name": "Xeon Processor @ 2.50GHz", "cpu family": "6", "model": "85", "flags": "avx2 avx512f"},
         "Xeon Processor @ 2.50GHz family 6 model 85", "AVX2, AVX-512"),
        ({"model name": "Intel(R) Xeon(R) E5 v4 @ 2.2GHz", "cpu family": "6", "model": "79", "flags": "avx2"},
         "Intel(R) Xeon(R) E5 v4 @ 2.2GHz", "AVX2"),
        ({"Features": "fp asimd"}, "", "NEON"),
    ],
)  # fmt: skip
def test_processors_of_one_name_are_told_apart_and_say_their_instructions(
    monkeypatch: pytest.MonkeyPatch, info: dict[str, str], model: str, instructions: str
) -> None:
    environment.cpu_model.cache_clear()
    monkeypatch.setattr(environment, "cpu_info", lambda: info)
    assert environment.instruction_set() == instructions
    assert environment.cpu_model() == model or not model
    environment.cpu_model.cache_clear()


def test_the_first_processor_of_a_listing_is_read(tmp_path: Path) -> None:
    listing = tmp_path / "cpuinfo"
    listing.write_text("processor\t: 0\nmodel name\t: One: two\nflags\t\t: a b\n\nprocessor\t: 1\nmodel name\t: X\n")
    assert environment.cpu_info(listing) == {"processor": "0", "model name": "One: two", "flags": "a b"}
    assert environment.cpu_info(tmp_path / "absent") == {}


def test_missing_imports_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "explodes_when_imported.py").write_text("raise SystemExit('was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    assert environment.missing(["explodes_when_imported", "no_such_module", "json"]) == ["no_such_module"]
    assert not {name for name in set(sys.modules) - before if name.startswith("explodes")}


def test_versions_names_only_what_is_installed() -> None:
    found = environment.versions(["rich", "no-such-distribution"])
    assert found["rich"] == metadata.version("rich")
    assert found["numpy"] == metadata.version("numpy")
    assert "no-such-distribution" not in found
    assert all(found.values())
    assert environment.version("no-such-distribution") is None


def test_a_processor_is_always_there() -> None:
    assert environment.has_device("cpu")
    assert set(environment.usable_cpus()) == os.sched_getaffinity(0)


def test_without_a_driver_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise pynvml.NVMLError(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND)

    monkeypatch.setattr(pynvml, "nvmlInit", refuse)
    assert environment.gpu_names() == []
    assert not environment.has_device("cuda")


def test_a_gpu_names_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEIGHBRIDGE_MACHINE", raising=False)
    monkeypatch.setattr(environment, "gpu_names", lambda: ["NVIDIA H100 80GB HBM3"] * 2)
    assert environment.has_device("cuda")
    assert environment.machine_name() == "nvidia-h100-80gb-hbm3-x2"


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Runs git in a folder of which `environment` then thinks that it is its own source tree."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    (tmp_path / "bench" / "measure").mkdir(parents=True)
    monkeypatch.setattr(environment, "__file__", str(tmp_path / "bench" / "measure" / "environment.py"))
    environment.git_commit.cache_clear()

    def run(*words: str) -> str:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    yield run
    environment.git_commit.cache_clear()


def test_outside_a_checkout_there_is_no_commit(git: Callable[..., str]) -> None:
    assert environment.git_commit() == "nogit"


def test_asking_for_the_commit_writes_nothing_into_the_repository(git: Callable[..., str], tmp_path: Path) -> None:
    git("init", "--quiet")
    (tmp_path / "source.py").write_text("1")
    git("add", "source.py")
    git("commit", "--quiet", "-m", "first")
    os.utime(tmp_path / "source.py", (1, 1))  # an index that `git status` would write anew
    before = (tmp_path / ".git" / "index").read_bytes()
    environment.git_commit()
    assert (tmp_path / ".git" / "index").read_bytes() == before


def test_a_changed_tree_is_marked(git: Callable[..., str], tmp_path: Path) -> None:
    git("init", "--quiet")
    (tmp_path / "source.py").write_text("1")
    git("add", "source.py")
    git("commit", "--quiet", "-m", "first")
    (tmp_path / "notes").write_text("untracked: it changes no figure")
    commit = git("rev-parse", "--short", "HEAD")
    assert environment.git_commit() == commit
    (tmp_path / "source.py").write_text("2")
    environment.git_commit.cache_clear()
    assert environment.git_commit() == f"{commit}+"


def test_an_environment_can_be_written_down(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    described = environment.describe(["rich"])
    assert json.loads(json.dumps(described, allow_nan=False)) == described
    assert described.keys() >= KEYS
    assert described["threads"]["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in described["threads"]
    assert described["versions"]["rich"] == metadata.version("rich")
    assert described["memory_bytes"] > 2**28
    assert described["cpus"] == environment.usable_cpus()


def test_what_a_process_started_counts_for_it_while_it_lives_and_afterwards() -> None:
    """Inductor's pool of compilers marked every block of its own cell as one beside a busy neighbour."""
    ticks_s = 2 * 2 / os.sysconf("SC_CLK_TCK")  # the kernel drops a part of one in each figure: user, system, of both
    burn = f"import time\nwhile time.process_time() < {0.3 + ticks_s}: pass\n"
    code = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {burn!r}])\nprint(flush=True)\ninput()"
    words = [sys.executable, "-c", code]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin
        assert process.stdout
        begin, while_alive = time.monotonic(), 0.0
        while while_alive < 0.2 and time.monotonic() < begin + 20:
            while_alive = environment.process_cpu_s(process.pid)
        process.stdout.readline()
        afterwards = environment.process_cpu_s(process.pid)
        process.stdin.close()
    assert while_alive >= 0.2
    assert afterwards >= 0.3


def test_code_of_a_task_is_its_file_and_what_it_takes_from_its_folder() -> None:
    found = environment.module_files(text_classification.data)
    assert [path.name for path in found] == ["_minilm.py", "text_classification.py"]
    assert environment.module_files(environment.describe) == [Path(environment.__file__)], "not of other folders"
