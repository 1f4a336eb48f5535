from pathlib import Path

import pytest

from weighbridge.bench.analysis.gate import Thresholds
from weighbridge.bench.cli.thresholds import share, thresholds
from weighbridge.bench.core import WeighbridgeError


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "pyproject.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("value", "number"), [("5%", 0.05), ("0.05", 0.05), (0.05, 0.05), ("150 %", 1.5), (0, 0.0), (" 2.5% ", 0.025)]
)
def test_shares(value: object, number: float) -> None:
    assert share("speed", value) == pytest.approx(number)


@pytest.mark.parametrize("value", ["5", "-1%", "nan", "inf%", "much", "", True, 5, [0.1], "1e999"])
def test_nonsense_is_one_line(value: object) -> None:
    with pytest.raises(WeighbridgeError, match=r"speed takes a share such as 5% or 0\.05"):
        share("speed", value)


def test_the_command_line_wins_over_the_file_and_the_file_over_ours(tmp_path: Path) -> None:
    path = file(tmp_path, '[tool.weighbridge]\nspeed = "7%"\nmemory = 0.2\nrequire-all = true\n')
    found = thresholds({"speed": "3%", "memory": None, "require-all": None}, path)
    assert found == Thresholds(speed=0.03, memory=0.2, score=0.01, require_all=True)


@pytest.mark.parametrize("text", ["", "[tool.ruff]\nline-length = 1\n", "tool = 3\n"])
def test_without_a_section_ours_stand(text: str, tmp_path: Path) -> None:
    assert thresholds({}, file(tmp_path, text)) == Thresholds()
    assert thresholds({}, tmp_path / "absent.toml") == Thresholds()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tool.weighbridge]\nspede = 0.1\n", "did you mean 'speed'?"),
        ("[tool.weighbridge]\nspeed = 50\n", "speed takes a share"),
        ("[tool.weighbridge]\nrequire-all = 1\n", "require-all takes true or false"),
        ("[tool]\nweighbridge = 1\n", "is no table"),
        ("[tool.weighbridge\n", "is no TOML"),
    ],
)
def test_a_file_that_is_wrong_is_said_in_one_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(WeighbridgeError) as raised:
        thresholds({}, file(tmp_path, text))
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
