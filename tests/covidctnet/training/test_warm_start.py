import numpy as np

from covidctnet.networks import build_denoiser
from covidctnet.training.denoiser import train_denoiser
from covidctnet.training.warm_start import SegmentedSlices, pretrain_on_lungs
from tests.covidctnet.training.test_train_denoiser import config, healthy


def test_a_batch_holds_slices_and_their_lungs() -> None:
    data = SegmentedSlices(healthy(20), batch_size=8, seed=1)
    slices, lungs = data.batch(0, 0)
    assert slices.shape == lungs.shape == (8, 32, 32, 1)
    np.testing.assert_array_equal(lungs == 1, np.isclose(slices, 0.1))
    assert len(data) == 3
    assert not np.array_equal(slices, data.batch(1, 0)[0])


def test_the_network_learns_to_find_lungs_and_the_denoiser_starts_from_it() -> None:
    settings = config(warm_start_epochs=4, epochs=1)
    weights, history = pretrain_on_lungs(healthy(160), healthy(16, 1), settings)
    share = 28 / 128
    guessing = -(share * np.log(share) + (1 - share) * np.log(1 - share))
    assert history["val_loss"][-1] < 0.6 * guessing
    warm = train_denoiser(healthy(16), healthy(8, 1), settings, start=weights)[0].get_weights()
    cold = build_denoiser(settings.denoiser, settings.preprocess.slice_size, seed=settings.seed).get_weights()
    # Two steps change little: the weights are still near those that they started from.
    moved = [np.abs(one - start).mean() for one, start in zip(warm, weights, strict=True) if one.ndim == 4]
    apart = [np.abs(one - start).mean() for one, start in zip(cold, weights, strict=True) if one.ndim == 4]
    assert sum(moved) < 0.5 * sum(apart)
