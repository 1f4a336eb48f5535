"""What is here: backends, versions, devices, and what to type where something is missing.

Imports of backends' packages are tried in a process of their own: one that breaks must not break the doctor,
and the parent stays free of frameworks.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from functools import cache
from typing import get_args

import msgspec

from weighbridge.bench.core import child
from weighbridge.bench.core.card import BackendCard
from weighbridge.bench.core.cell import Device
from weighbridge.bench.measure import environment
from weighbridge.bench.measure.noise import Calibration
from weighbridge.bench.run import cards
from weighbridge.bench.storage import packages
from weighbridge.bench.storage.calibration import every


class Findings(msgspec.Struct, frozen=True, kw_only=True):
    """The machine, each backend with its state on each device, calibrations, and the problems found, with their fix."""

    machine: dict[str, object]
    backends: list[dict[str, object]]
    calibrations: list[dict[str, str]]
    problems: list[str]


def examine() -> Findings:
    """Look around; imports each backend's packages in a process of its own."""
    found = [each for each in cards.backends().values() if not each.hidden]
    attempt = cache(attempted)  # backends that need the same share one
    broken = {each.name: problem for each in found if (problem := import_problem(each, attempt))}
    here = environment.describe([name for each in found for name in each.distributions])
    return Findings(
        machine={**here, "data_cache": str(packages.cache_folder())},
        backends=[{"backend": each.name, **_devices(each, broken.get(each.name))} for each in found],
        calibrations=[row for each in every(packages.cache_folder()) for row in calibrated(each)],
        problems=[
            *(f"{name}: {problem}" for name, problem in broken.items()),
            *cards.broken_tasks().values(),
            *packages.pins().problems,
        ],
    )


def broken() -> list[str]:
    """A line for each module of tasks or backends that cannot be read."""
    backends = [each.problem for each in cards.backends().values() if each.problem]
    return [*backends, *cards.broken_tasks().values()]


def calibrated(calibration: Calibration) -> list[dict[str, str]]:
    """A row a kind of cell that this machine was calibrated for."""
    footing = {"tier": calibration.tier, "allocator": calibration.allocator}
    rows = [
        {
            "kind": name,
            **footing,
            "floor": _share(kind.floor),
            "between runs": _share(kind.between_runs),
            "false verdicts": _share(kind.false_verdicts) + ("" if kind.sound or kind.floor is None else ", too many"),
            "measured": kind.measured[:10],
            "note": "" if kind.sound or kind.floor is None else f"verdicts go by {kind.usable_floor:.2%}",
        }
        for name, kind in calibration.kinds.items()
    ]
    unknown = {"floor": "", "between runs": "", "false verdicts": "", "measured": ""}
    return [*rows, {"kind": "", **footing, **unknown, "note": calibration.note}] if calibration.note else rows


def _share(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.2%}"


def _devices(backend: BackendCard, broken: str | None) -> dict[str, str]:
    return {device: _state(backend, device, broken) for device in get_args(Device)}


def _state(backend: BackendCard, device: Device, broken: str | None) -> str:
    if broken:
        return broken
    if device not in backend.devices:
        return "not supported"
    return "available" if environment.has_device(device) else f"this machine shows no {device} device"


def attempted(names: tuple[str, ...]) -> str:
    """What an import of these says where it fails, in a process of its own; empty where it does not."""
    code = "; ".join(f"import {name}" for name in names)
    tried = subprocess.run(child.command("-c", code), capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else tried.stderr.strip() or f"exit code {tried.returncode}"


def import_problem(backend: BackendCard, attempt: Callable[[tuple[str, ...]], str] = attempted) -> str | None:
    """Why a backend's packages cannot be imported, and what to type; None where they can."""
    absent = backend.problem or cards.not_installed(backend)
    if absent or not backend.requires:
        return absent
    told = attempt(tuple(backend.requires))
    if not told:
        return None
    return next((fix for sign, fix in backend.import_fixes.items() if sign in told), told.splitlines()[-1])
