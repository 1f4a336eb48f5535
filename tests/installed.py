"""`python tests/installed.py BACKENDS`: an installed Weighbridge in a project with a `bench` and `tasks` of its own.

Run by the interpreter of an environment that has the wheel, outside of any clone: `python -m nox -s installed`. Nothing
of this repository is imported. With no backend named, nothing is weighed that needs data or a framework.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory

FILES = {
    "bench.py": "MINE = 'bench'\n",
    "tasks/__init__.py": "MINE = 'tasks'\n",
    "backends/__init__.py": "MINE = 'backends'\n",
    "script.py": (
        "import backends, bench, tasks\n"
        "import weighbridge\n"
        "print(bench.MINE, tasks.MINE, backends.MINE, weighbridge.frame.__name__, weighbridge.run.__name__)\n"
    ),
    "test_mine.py": (
        "import backends\nimport bench\nimport tasks\nimport weighbridge\n\n\n"
        "def test_mine():\n"
        "    assert (bench.MINE, tasks.MINE, backends.MINE) == ('bench', 'tasks', 'backends')\n"
        "    assert callable(weighbridge.run)\n"
    ),
    "mine.py": (
        "import bench\n"
        "from weighbridge.backends.fake import Fake\n\n\n"
        "class Mine(Fake):\n"
        "    name = f'of-my-{bench.MINE}'\n"
        "    hidden = False\n"
    ),
}


def ended(project: Path, *command: str | Path) -> str:
    """What a command prints; ends this program where it fails."""
    found = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    if found.returncode:
        sys.exit(f"{' '.join(map(str, command))}: exit code {found.returncode}\n{found.stdout}\n{found.stderr}")
    return found.stdout


def records(project: Path, *words: str) -> dict[str, str]:
    """Backend -> status, of a run in the project."""
    told = ended(project, sys.executable, "-P", "-m", "weighbridge", "run", *words, "--json")
    return {record["cell"]["backend"]: record["status"] for record in json.loads(told)}


def one_name() -> None:
    """The distribution puts one name at the top of site-packages."""
    files = metadata.files("weighbridge") or []
    top = {path.parts[0] for path in files if ".." not in path.parts and not path.parts[0].endswith(".dist-info")}
    assert top <= {"weighbridge", "__pycache__"}, top


def project_is_left_alone(project: Path) -> None:
    """A user's modules are their own in a script, under pytest, in our workers."""
    told = ended(project, sys.executable, "script.py")
    assert told.split() == ["bench", "tasks", "backends", "frame", "run"], told
    # beside a script it would break NumPy, too: a script's folder is where Python looks first
    (project / "random.py").write_text("raise SystemExit('not Python\\'s own')\n")
    assert "1 passed" in ended(project, Path(sys.executable).with_name("pytest"), "-p", "no:cacheprovider")
    names = ("--tasks", "tabular-regression", "--batch-sizes", "1", "--out", "of-mine")
    assert records(project, *names, "--backends", "fake,./mine.py", "--reference", "fake") == {
        "fake": "ok",
        "of-my-bench": "ok",
    }


def as_good_as_a_clone(project: Path) -> None:
    """Tasks, suites, pinned hashes and the report's assets are found; results go to ./results."""
    listing = json.loads(ended(project, sys.executable, "-P", "-m", "weighbridge", "list", "--json"))
    assert len(listing["tasks"]) >= 12
    assert records(project, "--suite", "fake", "--batch-sizes", "1") == {"fake": "ok"}
    (page,) = (project / "results").glob("*/*/report.html")
    assert "uPlot" in page.read_text()
    told = ended(project, sys.executable, "-P", "-m", "weighbridge", "data", "list", "--json")
    assert len(json.loads(told)) >= 8


def main(backends: list[str]) -> None:
    """Raises AssertionError, or ends with a line, where something does not hold."""
    with TemporaryDirectory() as folder:
        project = Path(folder)
        for name, text in FILES.items():
            (project / name).parent.mkdir(exist_ok=True)
            (project / name).write_text(text)
        one_name()
        project_is_left_alone(project)
        as_good_as_a_clone(project)
        if backends:
            ended(project, sys.executable, "-P", "-m", "weighbridge", "data", "fetch")
            found = records(project, "--tasks", "tabular-regression", "--backends", ",".join(backends), "--out", "all")
            assert found == dict.fromkeys(backends, "ok"), found
    where = metadata.distribution("weighbridge").locate_file("")
    sys.stdout.write(f"installed in {where}; weighed: {', '.join(backends) or 'fake'}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
