"""What the doctor says of calibrations."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from tests.conftest import make_cell
from weighbridge.bench.cli import console, doctor, main
from weighbridge.bench.measure.noise import Kind
from weighbridge.bench.storage import calibration, packages

SOUND = Kind(
    cell=make_cell(), measured="2026-11-24T00:00:00+00:00", floor=0.012, false_verdicts=0.05, between_runs=0.03
)
LOUD = Kind(cell=make_cell("null"), floor=0.01, false_verdicts=0.1, ratios=[(0.8, 0.7, 0.9)])
RUNS = Kind(cell=make_cell("work"), between_runs=0.04, runs=20)


def test_a_row_a_kind_with_its_doubts(tmp_path: Path) -> None:
    found = calibration.keep(tmp_path, [SOUND, LOUD, RUNS], "quick")
    sound, loud, runs = doctor.calibrated(found)
    assert (sound["kind"], sound["floor"], sound["between runs"]) == (str(SOUND.cell), "1.20%", "3.00%")
    assert (sound["false verdicts"], sound["measured"], sound["note"]) == ("5.00%", "2026-11-24", "")
    assert (loud["false verdicts"], loud["note"]) == ("10.00%, too many", "verdicts go by 25.00%")
    assert (runs["floor"], runs["between runs"], runs["note"]) == ("not measured", "4.00%", "")


def test_backends_that_need_the_same_packages_share_one_import(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(doctor, "attempted", lambda names: asked.append(names) or "")
    assert doctor.examine().problems == []
    assert sorted(set(asked)) == sorted(asked)
    assert ("torch", "timm", "transformers") in asked


def test_the_doctor_shows_them_and_what_it_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "cache_folder", lambda: tmp_path)
    monkeypatch.setattr(doctor, "import_problem", lambda backend, attempt: None)
    monkeypatch.setattr(console.out, "_width", 240)
    assert "between runs" not in CliRunner().invoke(main.app, ["doctor"]).stdout
    calibration.keep(tmp_path, [SOUND], "quick")
    calibration.path(tmp_path, "strict").write_bytes(b'{"floor": 0.01}')
    ended = CliRunner().invoke(main.app, ["doctor"])
    assert ended.exit_code == 0
    assert str(SOUND.cell) in ended.stdout
    assert "calibrate again" in ended.stdout
