import numpy as np
import pytest

from covidctnet.config import Config, load_profile, parse_config
from covidctnet.errors import TrainingError
from covidctnet.training.collapse import require_live_output
from covidctnet.training.denoiser import HealthySlices, NoisySlices, train_denoiser


def healthy(count: int, seed: int = 0) -> HealthySlices:
    rng = np.random.default_rng(seed)
    slices = np.zeros((count, 32, 32), np.float32)
    slices[:, 4:28, 3:29] = 0.74
    lungs = np.zeros(slices.shape, bool)
    for index in range(count):
        top = int(rng.integers(6, 12))
        lungs[index, top : top + 14, 6:14] = lungs[index, top : top + 14, 18:26] = True
    slices[lungs] = 0.1
    return HealthySlices(slices=slices, lungs=lungs)


def config(**denoiser: object) -> Config:
    smoke = load_profile("smoke")
    values = {"filters": (4, 8, 8, 8), "batch_size": 8, "epochs": 2, "dropout": 0.0, "learning_rate": 5e-3, **denoiser}
    return parse_config({"name": "t", "preprocess": smoke.preprocess, "noise": smoke.noise, "denoiser": values})


def batches(**kwargs: object) -> NoisySlices:
    data = healthy(20)
    return NoisySlices(data.slices, data.lungs, config().noise, batch_size=8, seed=3, **kwargs)


def test_about_half_of_the_slices_are_noisy_and_the_target_is_clean() -> None:
    noisy, clean = (np.concatenate(parts) for parts in zip(*(batches()[i] for i in range(3)), strict=True))
    changed = (noisy != clean).any(axis=(1, 2, 3))
    assert noisy.shape == clean.shape == (20, 32, 32, 1)
    assert 4 <= changed.sum() <= 16
    assert set(np.unique(clean)) == set(np.unique(healthy(20).slices))


def test_each_epoch_draws_anew_and_a_watched_set_keeps_its_draw() -> None:
    for fresh, changes in ((True, True), (False, False)):
        data = batches(fresh=fresh)
        before = data[0][0]
        data.on_epoch_end()
        assert (not np.array_equal(before, data[0][0])) == changes


def test_an_epoch_may_see_a_part_of_the_slices() -> None:
    assert len(batches(slices_per_epoch=9)) == 2
    assert sum(len(batches(slices_per_epoch=9)[i][0]) for i in range(2)) == 9


def test_thinning_keeps_slices_and_lungs_together() -> None:
    data = healthy(20)
    thin = data.thin(7)
    assert len(thin.slices) == 7
    np.testing.assert_array_equal(thin.slices, data.slices[::3])
    np.testing.assert_array_equal(thin.lungs, data.lungs[::3])


def test_training_lowers_the_loss_and_the_same_seed_gives_the_same_weights() -> None:
    epochs = []
    settings = config(epochs=3)
    runs = [
        train_denoiser(healthy(48), healthy(8, 1), settings, on_epoch=lambda done, total: epochs.append((done, total)))
        for _ in range(2)
    ]
    history = runs[0][1]
    assert history["loss"][-1] < history["loss"][0]
    assert len(history["val_loss"]) == 3
    assert epochs == [(1, 3), (2, 3), (3, 3)] * 2
    for one, other in zip(runs[0][0].get_weights(), runs[1][0].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_cosine_decay_ends_near_zero() -> None:
    history = train_denoiser(healthy(16), healthy(8), config(epochs=4, learning_rate_decay="cosine"))[1]
    rates = history["learning_rate"]
    assert rates[0] == pytest.approx(5e-3)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] < 1e-3


def test_no_slices_are_refused() -> None:
    none = HealthySlices(slices=np.zeros((0, 32, 32), np.float32), lungs=np.zeros((0, 32, 32), bool))
    with pytest.raises(TrainingError, match="not 0 and 20"):
        train_denoiser(none, healthy(20), config())


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    broken = healthy(16)
    broken.slices[0] = np.nan
    with pytest.raises(TrainingError, match="denoiser's loss is nan after epoch 1"):
        train_denoiser(broken, healthy(8), config())


def test_a_constant_denoiser_is_refused() -> None:
    slices = healthy(4).slices
    with pytest.raises(TrainingError, match="the denoiser collapsed"):
        require_live_output(lambda batch, training: np.full(batch.shape, 0.3, np.float32), slices)
    require_live_output(lambda batch, training: batch, slices)
