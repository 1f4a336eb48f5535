"""Where what is known of this machine's peaks lies."""

from __future__ import annotations

from pathlib import Path

import msgspec

from weighbridge.bench.core.cell import Device
from weighbridge.bench.core.record import Peaks
from weighbridge.bench.measure import environment
from weighbridge.bench.storage.files import UNREADABLE, write_whole


def path(root: Path, device: Device) -> Path:
    """Return where this machine's peaks lie."""
    return root / "peaks" / f"{environment.machine_name()}.{device}.json"


def load(root: Path, device: Device) -> Peaks | None:
    """This machine's peaks; None where none can be read."""
    try:
        return msgspec.json.decode(path(root, device).read_bytes(), type=Peaks)
    except (OSError, *UNREADABLE):
        return None


def save(root: Path, peaks: Peaks) -> Path:
    """Writes them whole or not at all."""
    found = path(root, peaks.device)
    write_whole(found, msgspec.json.format(msgspec.json.encode(peaks)))
    return found
