"""The published version is a fair one: it computes what the product computes, where the two mean the same."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import product
from benchmarks.published import networks, perlin, preprocessing
from covidctnet.config import PreprocessConfig, load_profile
from covidctnet.perlin import perlin_field
from covidctnet.preprocess import preprocess
from covidctnet.residual import denoise
from covidctnet.volume import Volume


def test_the_loop_draws_the_same_perlin_field() -> None:
    for persistence, base in ((0.3, 321), (-0.2, 7)):
        settings = {"scale": 12.0, "octaves": 4, "lacunarity": 2.0, "period": 140}
        looped = perlin.loop_field((16, 24), persistence=persistence, base=base, **settings)  # type: ignore[arg-type]
        field = perlin_field((16, 24), persistence=persistence, base=base, **settings)  # type: ignore[arg-type]
        np.testing.assert_allclose(looped, field, rtol=0, atol=1e-6)


def test_preprocessing_agrees_where_the_volume_is_smooth() -> None:
    z, y, x = np.meshgrid(*(np.linspace(0, 3, count) for count in (30, 200, 200)), indexing="ij")
    hu = np.round(-300 + 300 * np.sin(z) * np.cos(y) * np.sin(x)).astype(np.int16)
    published = preprocessing.preprocess(hu, (2.0, 1.5, 1.5))
    config = PreprocessConfig(range_handling="air", interpolation="bspline")
    ours = preprocess(Volume(hu=hu.astype(np.float32), spacing_mm=(2.0, 1.5, 1.5)), config)
    assert published.shape == ours.shape == (60, 128, 128)
    # scipy's zoom places the outermost centres at the volume's ends, so the borders differ.
    assert np.abs(published - ours)[5:-5, 8:-8, 8:-8].mean() < 0.01


def test_the_networks_give_the_same_answers() -> None:
    config = load_profile("smoke")
    config = replace(config, classifier=replace(config.classifier, dropout=0.0))
    published = networks.build(config)
    ours = product.load(config, *published)
    side = config.preprocess.slice_size
    slices = np.random.default_rng(0).random((9, *side)).astype(np.float32)
    denoised = denoise(ours[0], slices, config.residual.batch_size)
    np.testing.assert_allclose(networks.denoise(published[0], slices), denoised, rtol=0, atol=1e-5)
    stack = networks.residual_stack(slices, denoised, config.residual.shape)
    assert np.ptp(stack) > 0.01
    np.testing.assert_allclose(
        networks.classify(published[1], stack), ours[1](stack[None, ..., None])[0], rtol=0, atol=1e-5
    )


def test_a_training_step_learns() -> None:
    config = load_profile("smoke")
    batch = np.random.default_rng(0).random((5, *config.preprocess.slice_size, 1)).astype(np.float32)
    step = product.training_step(config, batch)
    losses = [step() for _ in range(8)]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("size", [(60, 50), (16, 20), (64, 90)])
def test_resizing_keeps_a_gradient(size: tuple[int, int]) -> None:
    image = np.linspace(0, 1, 64)[:, None] * np.ones(90)
    resized = preprocessing.resize(image, size)
    assert resized.shape == size
    expected = np.interp((np.arange(size[0]) + 0.5) * 64 / size[0] - 0.5, np.arange(64), image[:, 0])
    np.testing.assert_allclose(resized[4:-4], np.repeat(expected[4:-4, None], size[1], 1), atol=0.01)
