"""Where what is known of this machine's noise lies."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from weighbridge.bench.measure import environment
from weighbridge.bench.measure.noise import ALLOCATOR, Calibration, Kind, identity
from weighbridge.bench.storage.files import UNREADABLE, write_whole


def path(root: Path, tier: str, allocator: str = ALLOCATOR) -> Path:
    """Return where this machine's calibration for a tier and a host allocator lies."""
    suffix = "" if allocator == ALLOCATOR else f".{allocator}"
    return root / "calibration" / f"{environment.machine_name()}.{tier}{suffix}.json"


def save(root: Path, calibration: Calibration) -> Path:
    """Writes it whole or not at all."""
    found = path(root, calibration.tier, calibration.allocator)
    write_whole(found, msgspec.json.format(msgspec.json.encode(calibration)))
    return found


def load(root: Path, tier: str, allocator: str = ALLOCATOR) -> Calibration | None:
    """This machine's calibration; None where there is none, and one without kinds where it cannot be read."""
    file = path(root, tier, allocator)
    try:
        return msgspec.json.decode(file.read_bytes(), type=Calibration)
    except OSError:
        return None
    except UNREADABLE:
        note = f"{file.name} is damaged or of an older version, and was ignored; type: weighbridge calibrate again"
        return Calibration(tier=tier, allocator=allocator, kinds={}, note=note)


def every(root: Path) -> list[Calibration]:
    """This machine's calibrations, of all tiers and allocators."""
    machine = environment.machine_name()
    files = sorted((root / "calibration").glob(f"{machine}.*.json"))
    names = [file.name.removeprefix(f"{machine}.").removesuffix(".json").split(".") for file in files]
    found = [load(root, *name) for name in names if len(name) <= 2]
    return [each for each in found if each]


def so_far(root: Path, tier: str, allocator: str = ALLOCATOR) -> Calibration:
    """Return what is to be added to: this machine's kinds of before, none of another machine's."""
    here, old = identity(), load(root, tier, allocator)
    same = old is not None and all(getattr(old, name) == value for name, value in here.items())
    return Calibration(
        **here,  # type: ignore[arg-type]
        tier=tier,
        allocator=allocator,
        cpu_mhz=environment.cpu_mhz(),
        kinds=old.kinds if old and same else {},
    )


def keep(root: Path, kinds: Iterable[Kind], tier: str, allocator: str = ALLOCATOR) -> Calibration:
    """Adds kinds to this machine's calibration, each in the place of what was known of it, and saves it."""
    old = so_far(root, tier, allocator)
    new = {str(kind.cell): kind for kind in kinds}
    found = msgspec.structs.replace(old, kinds={**old.kinds, **new})
    save(root, found)
    return found
