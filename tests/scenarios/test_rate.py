"""The search for the highest rate, against servers whose capacity is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.bench.scenarios.serve.rate import MOST_CONFIRMATIONS, RESOLUTION, Probe, highest


def probe(rate: float, passed: bool, confirms: bool) -> Probe:
    return Probe(
        rate=rate, passed=passed, confirms=confirms, queries=1, over=0, rejected=0, abandoned=False, p50_s=None,
        p90_s=None, p99_s=None, error_p99_s=0.0, error_max_s=0.0, mean_batch=1.0, wall_s=1.0, latencies_s=[],
    )  # fmt: skip


@given(capacity=st.floats(0.14, 5.0), guess=st.floats(0.1, 1e6))
def test_finds_the_capacity_to_its_resolution_whatever_was_guessed(capacity: float, guess: float) -> None:
    limit = capacity * guess
    found = highest(lambda rate, confirms, seed: probe(rate, rate <= limit, confirms), guess)
    assert found.best is not None
    assert found.best.confirms
    assert limit / (1 + RESOLUTION) * 0.999 <= found.best.rate <= limit


def test_a_rate_must_pass_twice_with_other_arrivals() -> None:
    """What passes by luck below 100 and is confirmed only below 90."""
    seeds: list[int] = []

    def server(rate: float, confirms: bool, seed: int) -> Probe:
        seeds.append(seed)
        return probe(rate, rate < (90 if confirms else 100), confirms)

    found = highest(server, 200)
    assert found.best is not None
    assert 85 < found.best.rate < 90
    assert len(set(seeds)) == len(seeds) == len(found.probes)
    assert not all(each.passed for each in found.probes if each.confirms)


@pytest.mark.parametrize("confirms_ever", [True, False])
def test_where_no_rate_holds_there_is_none(confirms_ever: bool) -> None:
    found = highest(lambda rate, confirms, seed: probe(rate, not confirms and not confirms_ever, confirms), 100)
    assert found.best is None
    assert found.probes
    assert sum(each.confirms for each in found.probes) <= MOST_CONFIRMATIONS
