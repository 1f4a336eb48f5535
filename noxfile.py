"""The commands of this project: `python -m nox -s bench`, `repeat`, `matrix`, `recipes`, `attack`, `tests`,
`installed`, `lint`, `types`, `docs`, `gpu`, `tpu`, `report`.

Environments are made with uv, which fetches the whole stack in about half a minute, from the interpreter that
runs nox: uv cannot be counted on to download one. Byte code is compiled at installation, once: every cell is a
process of its own, and importing torch and transformers without it takes three times as long.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import nox
from nox.virtualenv import UV, PassthroughEnv

nox.needs_version = ">=2025.2.9"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"

HERE = Path(__file__).parent
CPU = "torch,flax,pytest"
EVERY = f"{CPU},torchax,onnxruntime,openvino"
"""Of the CPU: what contract and types are held against."""
DEVICE_FILES = {"cuda": ("/dev/nvidia0", "/dev/nvidiactl"), "tpu": ("/dev/accel0", "/dev/vfio/0")}


def install(session: nox.Session, extras: str, *more: str) -> None:
    """The project with `extras`, at the versions of constraints.txt; the clone itself under --no-venv."""
    if isinstance(session.virtualenv, PassthroughEnv):
        session.env["PYTHONPATH"] = str(HERE / "src")
    else:
        session.env["UV_COMPILE_BYTECODE"] = "1"
        session.install("-c", "constraints.txt", "-e", f".[{extras}]", *more)


@nox.session(python=sys.executable)
def bench(session: nox.Session) -> None:
    """Installs, fetches the data, measures peaks, weighs suite `quick`, reports. Arguments go to `weighbridge run`."""
    install(session, CPU)
    session.run("weighbridge", "data", "fetch")
    session.run("weighbridge", "peaks")
    session.run("weighbridge", "run", "--suite", "quick", *session.posargs)


@nox.session(python=sys.executable)
def repeat(session: nox.Session) -> None:
    """Whole runs of one request, again and again: do they agree? Arguments go to tests.experiments.repeat."""
    install(session, CPU)
    session.run("weighbridge", "data", "fetch")
    session.run("python", "-m", "tests.experiments.repeat", *session.posargs)


@nox.session(python=sys.executable)
def matrix(session: nox.Session) -> None:
    """One request under several sets of versions, in turns. Arguments go to tests.experiments.matrix."""
    install(session, CPU)
    session.run("weighbridge", "data", "fetch")
    session.run("python", "-m", "tests.experiments.matrix", "--uv", UV, *session.posargs)


@nox.session(python=sys.executable)
def recipes(session: nox.Session) -> None:
    """Trains every task's small model anew and holds it to its target. Arguments are tasks."""
    install(session, CPU)
    session.run("weighbridge", "data", "fetch")
    session.run("python", "-m", "tests.experiments.recipes", *session.posargs)


@nox.session(python=sys.executable)
def tests(session: nox.Session) -> None:
    """The whole test suite, in as many processes as there are cores; what goes by the clock comes after, alone.

    Arguments go to pytest, which then runs once, in one process.
    """
    install(session, f"{EVERY},tests")
    session.run("weighbridge", "data", "fetch")
    if session.posargs:
        session.run("pytest", *session.posargs)
    else:
        session.run("pytest", "-n", "auto", "--dist", "worksteal", "-m", "not alone")
        session.run("pytest", "-m", "alone")


ALONE = {
    "torch": "torch",
    "torch,flax": "torch,torch-compile,flax",
    "torchax": "torch,torchax",
    "onnxruntime": "torch,onnxruntime",
    "openvino": "torch,openvino",
}
"""Extras of an environment -> the backends that it must weigh."""


@nox.session(python=sys.executable)
@nox.parametrize("extras", list(ALONE), ids=[extras.replace(",", "-") for extras in ALONE])
def installed(session: nox.Session, extras: str) -> None:
    """The built wheel in an environment of its own, each extra alone, beside a project with modules of our names."""
    with TemporaryDirectory() as wheels:
        session.run("uv", "build", "--quiet", "--wheel", "--out-dir", wheels, str(HERE), external=True)
        (wheel,) = Path(wheels).glob("*.whl")
        session.install("-c", "constraints.txt", f"weighbridge[{extras},pytest] @ {wheel.as_uri()}")
    session.run("python", "-P", str(HERE / "tests" / "installed.py"), *ALONE[extras].split(","))


@nox.session(python=sys.executable)
def attack(session: nox.Session) -> None:
    """Attacks this program for hours. Arguments go to `python -m tests.hostile`."""
    install(session, f"{CPU},tests")
    session.run("weighbridge", "data", "fetch")
    session.run("python", "-m", "tests.hostile", *(session.posargs or ["--long"]))


@nox.session(python=sys.executable)
def lint(session: nox.Session) -> None:
    """Ruff, and the import rules of the design."""
    install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")


@nox.session(python=sys.executable)
def types(session: nox.Session) -> None:
    """Strict types. The frameworks are installed, since their types are what we must agree with."""
    install(session, f"{EVERY},tests,lint")
    session.run("pyright")


@nox.session(python=sys.executable)
def docs(session: nox.Session) -> None:
    """The documentation as pages to search, in site/: links are checked, and nothing is fetched when they are read."""
    install(session, "docs")
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    session.run("mkdocs", "build", "--quiet", *session.posargs)


@nox.session(python=sys.executable)
def report(session: nox.Session) -> None:
    """Writes a run's reports anew: nox -s report -- results/<machine>/<run>."""
    install(session, "pytest")
    session.run("weighbridge", "report", *session.posargs)


@nox.session(python=sys.executable)
def gpu(session: nox.Session) -> None:
    """Suite `gpu` on CUDA. With --no-venv on the interpreter at hand and without a network."""
    on_device(session, "cuda", "torch,flax-cuda,pytest")


@nox.session(python=sys.executable)
def tpu(session: nox.Session) -> None:
    """Suite `tpu`."""
    on_device(session, "tpu", "torch,flax-tpu,pytest")


def on_device(session: nox.Session, device: str, extras: str) -> None:
    """Installs and runs a device's suite; ends at once with exit code 2 where the machine has no such device."""
    if not any(Path(name).exists() for name in DEVICE_FILES[device]):
        sys.stderr.write(f"weighbridge: this machine shows no {device} device; type: python -m nox -s bench\n")
        sys.stderr.flush()
        os._exit(2)  # nox reports every failed session as exit code 1
    install(session, extras)
    if device == "cuda":  # the reference does not run on a TPU
        session.run("python", "-m", "weighbridge", "peaks", "--device", "cuda", "--precisions", "fp32,bf16")
    suite = {"cuda": "gpu", "tpu": "tpu"}[device]
    session.run("python", "-m", "weighbridge", "run", "--suite", suite, *session.posargs)
