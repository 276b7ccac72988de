import numpy as np
import pytest

from covidctnet.config import Config, load_profile, parse_config
from covidctnet.errors import TrainingError
from covidctnet.training.collapse import require_live_output
from covidctnet.training.denoiser import NoisySlices, train_denoiser
from covidctnet.training.slices import MaskedSlices


def healthy(count: int, seed: int = 0) -> MaskedSlices:
    rng = np.random.default_rng(seed)
    slices = np.zeros((count, 32, 32), np.float32)
    slices[:, 4:28, 3:29] = 0.74
    lungs = np.zeros(slices.shape, bool)
    for index in range(count):
        top = int(rng.integers(6, 12))
        lungs[index, top : top + 14, 6:14] = lungs[index, top : top + 14, 18:26] = True
    slices[lungs] = 0.1
    half = count // 2
    return MaskedSlices([slices[:half], slices[half:]], [lungs[:half], lungs[half:]])


def config(**denoiser: object) -> Config:
    smoke = load_profile("smoke")
    values = {"filters": (4, 8, 8, 8), "batch_size": 8, "epochs": 2, "dropout": 0.0, "learning_rate": 5e-3, **denoiser}
    return parse_config({"name": "t", "preprocess": smoke.preprocess, "noise": smoke.noise, "denoiser": values})


def batches(**kwargs: object) -> NoisySlices:
    return NoisySlices(healthy(20), config().noise, batch_size=8, seed=3, **kwargs)


def test_about_half_of_the_slices_are_noisy_and_the_target_is_clean() -> None:
    noisy, clean = (np.concatenate(parts) for parts in zip(*(batches().batch(0, i) for i in range(3)), strict=True))
    changed = (noisy != clean).any(axis=(1, 2, 3))
    assert noisy.shape == clean.shape == (20, 32, 32, 1)
    assert 4 <= changed.sum() <= 16
    assert set(np.unique(clean)) == set(np.unique(healthy(20).take(range(20))[0]))


def test_each_epoch_draws_anew_and_an_epoch_drawn_again_is_the_same() -> None:
    data = batches()
    before = data.batch(0, 1)
    assert not np.array_equal(before[0], data.batch(1, 1)[0])
    for one, other in zip(before, batches().batch(0, 1), strict=True):
        np.testing.assert_array_equal(one, other)


def test_an_epoch_may_see_a_part_of_the_slices() -> None:
    assert len(batches(slices_per_epoch=9)) == 2
    assert sum(len(batches(slices_per_epoch=9).batch(0, i)[0]) for i in range(2)) == 9


def test_thinning_keeps_slices_and_lungs_together() -> None:
    data = healthy(20)
    thin = data.thin(7)
    assert len(thin) == 7
    for one, other in zip(thin.take(range(7)), data.take(range(0, 20, 3)), strict=True):
        np.testing.assert_array_equal(one, other)


def test_training_lowers_the_loss_and_the_same_seed_gives_the_same_weights() -> None:
    epochs = []
    settings = config(epochs=3)
    runs = [
        train_denoiser(
            healthy(48), healthy(8, 1), settings, on_epoch=lambda done, total, history: epochs.append((done, total))
        )
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
    none = MaskedSlices([], [])
    with pytest.raises(TrainingError, match="not 0 and 20"):
        train_denoiser(none, healthy(20), config())


def test_a_loss_that_is_no_number_stops_the_training() -> None:
    slices, lungs = healthy(16).take(range(16))
    slices[0] = np.nan
    broken = MaskedSlices([slices], [lungs])
    with pytest.raises(TrainingError, match="denoiser's loss is nan after epoch 1"):
        train_denoiser(broken, healthy(8), config())


def test_a_constant_denoiser_is_refused() -> None:
    slices = healthy(4).take(range(4))[0]
    with pytest.raises(TrainingError, match="the denoiser collapsed"):
        require_live_output(lambda batch, training: np.full(batch.shape, 0.3, np.float32), slices)
    require_live_output(lambda batch, training: batch, slices)
