"""The README's "Add to it", followed by a stranger: a task, a backend and a twin, in a clone and as a package.

What is added is what the README says to start from, under other names.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TASK, BACKEND, ARCHITECTURE = "wine-quality", "torch-lazy", "winenet"
GIVEN = {
    "task": ("tasks/tabular_regression.py", {'"tabular-regression"': f'"{TASK}"', '"mlp"': f'"{ARCHITECTURE}"'}),
    "backend": ("backends/torch_compile.py", {'"torch-compile"': f'"{BACKEND}"', "TorchCompile": "TorchLazy"}),
    "architecture": ("backends/torch_nn/architectures/mlp.py", {"MLP": "WineNet"}),
    "twin": ("backends/flax_nnx/models/mlp.py", {"MLP": "WineNet"}),
}
"""What the README names as a start, and what is written in place of what."""
CLONED = {
    "task": "tasks/wine_quality.py",
    "backend": "backends/torch_lazy.py",
    "architecture": f"backends/torch_nn/architectures/{ARCHITECTURE}.py",
    "twin": f"backends/flax_nnx/models/{ARCHITECTURE}.py",
}
GROUPS = {
    "task": ("weighbridge.tasks", TASK),
    "backend": ("weighbridge.backends", BACKEND),
    "architecture": ("weighbridge.architectures", ARCHITECTURE),
    "twin": ("weighbridge.twins", ARCHITECTURE),
}


def source(what: str) -> str:
    """A file to add."""
    path, changes = GIVEN[what]
    text = (ROOT / path).read_text()
    for old, new in changes.items():
        text = text.replace(old, new)
    return text


def clone(folder: Path) -> Path:
    """Our packages and tests, with four files more."""
    left_out = shutil.ignore_patterns("__pycache__")
    for name in ("src", "bench", "backends", "tasks", "tests"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", folder)
    for what, path in CLONED.items():
        (folder / path).write_text(source(what))
    return folder


def package(folder: Path) -> Path:
    """A distribution that is installed, with the same four files in it."""
    about = folder / "winery-1.0.dist-info"
    (folder / "winery").mkdir()
    about.mkdir()
    lines: list[str] = []
    for what, (group, name) in GROUPS.items():
        (folder / "winery" / f"{what}.py").write_text(source(what))
        lines += [f"[{group}]", f"{name} = winery.{what}"]
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: winery\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("\n".join(lines))
    return folder


def typed(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Words after `python` of an environment that finds this folder's packages first."""
    paths = [str(folder / "src"), str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "WEIGHBRIDGE_DATA": str(folder / "data")}
    command = [sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=folder)


def test_the_readme_names_every_file_to_start_from_and_every_entry_point() -> None:
    told = (ROOT / "README.md").read_text().split("## Add to it")[1].split("\n## ")[0]
    linked = set(re.findall(r"\]\(([^)]+)\)", told))
    assert {path for path, _ in GIVEN.values()} <= linked
    assert all(f"`{group}`" in told for group, _ in GROUPS.values())


@pytest.mark.parametrize(("make", "scenario", "score"), [(clone, "infer", {"r2", "rmse"}), (package, "parity", set())])
def test_what_was_added_is_weighed_beside_the_rest(
    make: object, scenario: str, score: set[str], tmp_path: Path
) -> None:
    """How it was added is no matter to who is weighed: timed once, proven twice."""
    assert callable(make)
    folder = make(tmp_path)
    backends = f"torch,flax,{BACKEND}"
    ended = typed(
        folder, "-P", "-m", "weighbridge", "run", "--tasks", TASK, "--backends", backends, "--batch-sizes", "4",
        "--scenarios", scenario, "--json",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    records = {record["cell"]["backend"]: record for record in json.loads(ended.stdout)}
    assert {name: record["parity"]["passed"] for name, record in records.items()} == dict.fromkeys(
        backends.split(","), True
    )
    assert records["flax"]["score"].keys() == score


def test_in_a_clone_no_test_counts_what_there_is(tmp_path: Path) -> None:
    folder = clone(tmp_path)
    told = "list_names or of_each_family or wine or TorchLazy or torch-lazy"
    ended = typed(
        folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", told,
        "tests/tasks/test_tasks.py", "tests/cli/test_main.py", "tests/contract",
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert "passed" in ended.stdout
