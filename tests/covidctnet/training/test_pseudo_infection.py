import numpy as np
import pytest

from covidctnet.config import NoiseConfig, PreprocessConfig
from covidctnet.training.pseudo_infection import add_pseudo_infection, find_lungs

LUNG = np.zeros((64, 64), bool)
LUNG[10:50, 8:28] = LUNG[10:50, 36:56] = True
CLEAN = np.where(LUNG, np.float32(0.1), np.float32(0.74))


def draw(placement: str, seed: int) -> np.ndarray:
    config = NoiseConfig(scale=(5, 15), placement=placement)
    return add_pseudo_infection(CLEAN, LUNG, np.random.default_rng(seed), config)


def test_lung_placement_makes_lung_denser_and_leaves_all_else() -> None:
    changed = []
    for seed in range(20):
        noisy = draw("lung", seed)
        np.testing.assert_array_equal(noisy[~LUNG], CLEAN[~LUNG])
        assert (noisy[LUNG] >= CLEAN[LUNG]).all()
        assert noisy.max() <= 0.85
        changed.append(np.mean(noisy[LUNG] > 0.15))
    assert 0.1 < np.mean(changed) < 0.9


def test_whole_slice_placement_adds_the_field_everywhere_with_both_signs() -> None:
    difference = draw("whole slice", 1) - CLEAN
    assert np.mean(difference != 0) > 0.95
    assert difference.min() < 0 < difference.max()


@pytest.mark.parametrize("placement", ["whole slice", "lung"])
def test_a_seed_gives_the_same_noise_and_another_seed_other_noise(placement: str) -> None:
    np.testing.assert_array_equal(draw(placement, 4), draw(placement, 4))
    assert not np.array_equal(draw(placement, 4), draw(placement, 5))


def test_lungs_are_found_in_preprocessed_slices() -> None:
    body = np.zeros((3, 84, 84), np.float32)
    body[:, 10:74, 10:74] = CLEAN
    lungs = find_lungs(body, PreprocessConfig())
    np.testing.assert_array_equal(lungs[:, 10:74, 10:74], np.broadcast_to(LUNG, (3, 64, 64)))
    assert lungs.sum() == 3 * LUNG.sum()
