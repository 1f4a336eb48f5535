"""Shares of what a machine could do: the arithmetic, the peaks, and counts against published ones."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import make_record
from weighbridge.bench.analysis import ratios
from weighbridge.bench.core import Cost, WeighbridgeError, Work
from weighbridge.bench.core.record import Peaks
from weighbridge.bench.measure import peaks
from weighbridge.bench.measure.roofline import beyond, roofline
from weighbridge.bench.report import texts
from weighbridge.bench.report.plots import rooflines
from weighbridge.bench.run.peaks import measure_peaks
from weighbridge.bench.storage import known_peaks, packages

PEAKS = Peaks(
    machine="m", device="cpu", bytes_per_s=100e9, flops_per_s={"fp32": 1e12}, measured="2026-11-23", by="torch"
)
POSITIVE = st.floats(1e3, 1e15)


def cost(flops: float, moved: float, **more: float) -> Cost:
    return Cost(flops=flops, bytes=moved, by="a test", **more)


def test_many_operations_a_byte_are_bound_by_compute() -> None:
    found = roofline(cost(1e12, 1e9), 2.0, None, PEAKS, "fp32")
    assert found
    assert (found.bound, found.share, found.intensity) == ("compute", 0.5, 1000.0)


def test_few_operations_a_byte_are_bound_by_memory() -> None:
    found = roofline(cost(1e9, 50e9), 1.0, None, PEAKS, "fp32")
    assert found
    assert found.bound == "memory"
    assert found.share == pytest.approx(0.5)


def test_a_decoded_token_is_held_against_the_bandwidth() -> None:
    found = roofline(cost(1e9, 50e9, token_flops=1e8, token_bytes=1e9), 1.0, 0.02, PEAKS, "fp32")
    assert found
    assert found.token_bandwidth == pytest.approx(0.5)


@pytest.mark.parametrize("counted", [cost(0, 1), cost(1, 0)])
def test_what_was_not_counted_has_no_share(counted: Cost) -> None:
    assert roofline(counted, 1.0, None, PEAKS, "fp32") is None


def test_figures_of_a_journal_that_give_a_roof_of_zero_have_no_share() -> None:
    assert roofline(cost(1e-300, 1e300), 1.0, None, PEAKS, "fp32") is None


def test_a_precision_whose_peak_is_unknown_has_no_share() -> None:
    assert roofline(cost(1, 1), 1.0, None, PEAKS, "bf16") is None


@pytest.mark.parametrize(
    ("flops", "moved", "step_s", "found"),
    [
        (1e12, 1e6, 0.34, ""),  # Winograd's convolutions are allowed
        (1e12, 1e6, 0.32, "faster than can be: 312% of the operations a second that this machine reached at most"),
        (1e9, 50e9, 0.41, ""),
        (1e9, 50e9, 0.39, "faster than can be: 128% of the bytes a second that this machine reached at most"),
        (1e5, 1e6, 1e-6, ""),  # what a cache holds is not read from memory
        (0, 1, 1e-9, ""),
    ],
)
def test_what_no_machine_does_is_named(flops: float, moved: float, step_s: float, found: str) -> None:
    assert beyond(cost(flops, moved), step_s, PEAKS, "fp32") == found


@given(POSITIVE, POSITIVE, st.floats(1e-6, 1e3))
def test_the_share_is_one_at_the_roof(flops: float, moved: float, slack: float) -> None:
    at_roof_s = max(flops / 1e12, moved / 100e9)
    found = roofline(cost(flops, moved), at_roof_s * (1 + slack), None, PEAKS, "fp32")
    assert found
    assert found.share == pytest.approx(1 / (1 + slack))


def test_the_references_count_holds_for_all() -> None:
    records = [
        make_record("torch", 0.02, cost=cost(1e9, 1e6), peaks=PEAKS),
        make_record("flax", 0.01, cost=cost(5e9, 1e9), peaks=PEAKS),
    ]
    torch, flax = ratios.rows(records, "torch")
    assert torch.roofline
    assert flax.roofline
    assert flax.roofline.flops_per_s == pytest.approx(2 * torch.roofline.flops_per_s)
    assert (texts.flops(flax), texts.roof(flax)) == ("100 GFLOP/s", "10 % (compute)")


def test_the_plot_draws_both_roofs_and_names_the_peaks() -> None:
    rows = ratios.rows([make_record("torch", 0.02, cost=cost(1e9, 1e6), peaks=PEAKS)], "torch")
    (plot,) = rooflines.rooflines(rows)
    roof, point = plot.series
    assert roof.y[-1] == 1000.0
    assert 10.0 in roof.x
    assert point.x == [1000.0]
    assert "1,000 GFLOP/s, 100 GB/s" in plot.text


def test_the_best_repetition_is_the_peak() -> None:
    assert peaks.best(Work(run=lambda: None, amount=6.0), lambda *_: [3.0, 2.0, 4.0]) == 3.0


def test_peaks_are_measured_in_a_process_of_their_own_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEIGHBRIDGE_DATA", str(tmp_path))
    found = measure_peaks("fake", "cpu", ["fp32"])
    assert found.flops_per_s["fp32"] > 1e6
    assert found.bytes_per_s > 1e6
    assert known_peaks.load(packages.cache_folder(), "cpu") == found


UNMEASURABLE = [
    ("cpu", "fp33", "did you mean"),
    ("gpu", "fp32", "no device"),
    ("tpu", "fp32", "shows no tpu device"),
]


@pytest.mark.parametrize(("device", "precision", "words"), UNMEASURABLE)
def test_what_cannot_be_measured_is_one_line(device: str, precision: str, words: str) -> None:
    with pytest.raises(WeighbridgeError, match=words):
        measure_peaks("fake", device, [precision])
