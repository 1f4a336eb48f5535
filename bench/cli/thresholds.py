"""How much worse is a regression: from the command line, else `[tool.weighbridge]` of ./pyproject.toml, else ours."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weighbridge.bench.analysis.gate import Thresholds
from weighbridge.bench.core.errors import WeighbridgeError, unknown

SECTION = "[tool.weighbridge]"
SHARES = ("speed", "memory", "score")
KEYS = (*SHARES, "require-all")


def thresholds(given: Mapping[str, Any], pyproject: Path = Path("pyproject.toml")) -> Thresholds:
    """`given` maps keys to values as they were typed; None is not given, and the file's value stands."""
    chosen = configured(pyproject) | {key: value for key, value in given.items() if value is not None}
    shares = {key: share(key, chosen[key]) for key in SHARES if key in chosen}
    return Thresholds(**shares, require_all=_flag(chosen.get("require-all", False)))


def configured(pyproject: Path) -> dict[str, object]:
    """The section's keys; none where there is no such file or section. Tables in it are other commands'."""
    found = {key: value for key, value in section(pyproject).items() if not isinstance(value, dict)}
    for key in found:
        if key not in KEYS:
            raise unknown(f"key of {SECTION}", str(key), KEYS)
    return found


def section(pyproject: Path) -> dict[str, object]:
    """What stands in the file's section; nothing where there is none. Raises WeighbridgeError where it is no TOML."""
    if not pyproject.is_file():
        return {}
    try:
        found: Any = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise WeighbridgeError(f"{pyproject} is no TOML: {' '.join(str(error).split())}") from error
    inside = found.get("tool", {}).get("weighbridge", {}) if isinstance(found.get("tool", {}), dict) else {}
    if not isinstance(inside, dict):
        raise WeighbridgeError(f"{SECTION} of {pyproject} is no table")
    return dict(inside)


def share(key: str, value: Any) -> float:
    """`5%`, `"0.05"` or 0.05 as 0.05; a bare number from 1 is refused, since 5 would be meant as 5 %."""
    text = repr(value) if isinstance(value, dict | list) else str(value).strip()
    percent = text.endswith("%")
    try:
        number = float(text.removesuffix("%")) if not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0 or (number >= 1 and not percent):
        raise WeighbridgeError(f"{key} takes a share such as 5% or 0.05, not {text[:80]!r}")
    return number / 100 if percent else number


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise WeighbridgeError(f"require-all takes true or false, not {str(value)!r}")
    return value
