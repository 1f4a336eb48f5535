import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench import stats

SAMPLES = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60)


@given(SAMPLES, st.floats(1e-3, 1e3))
def test_settling_does_not_depend_on_the_unit(samples: list[float], unit: float) -> None:
    scaled = [sample * unit for sample in samples]
    error, other = stats.relative_error_of_median(samples), stats.relative_error_of_median(scaled)
    assert error == other or np.isclose(error, other, rtol=1e-6)


def test_ten_equal_samples_have_settled_and_nine_have_not() -> None:
    assert stats.has_settled([1.0] * 10, 0.01)
    assert not stats.has_settled([1.0] * 9, 0.01)


def test_noise_keeps_it_from_settling_until_there_is_enough() -> None:
    rng = np.random.default_rng(0)
    noisy = list(1 + 0.1 * rng.standard_normal(2000))
    assert not stats.has_settled(noisy[:12], 0.01)
    assert stats.has_settled(noisy, 0.01)


def test_warm_means_no_longer_getting_faster() -> None:
    assert not stats.is_warm([1.0] * 5)
    assert not stats.is_warm([5, 4, 3, 2.5, 2, 1.5])
    assert stats.is_warm([5, 1, 1, 1, 1.02, 0.99])
