import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

import covidctnet.networks
from covidctnet.config import ClassifierConfig, load_profile
from covidctnet.errors import ConfigError
from covidctnet.networks import build_classifier, compile_classifier

TINY = ClassifierConfig(filters=(2, 4), dense_units=8, learning_rate=0.01)

# Keras 3.15 converts its variables in a way that numpy 2.4 warns of; the bytes are right.
saves = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


def test_the_paper_s_sizes_make_its_number_of_parameters() -> None:
    config = load_profile("paper")
    model = build_classifier(config.classifier, config.residual.shape)
    assert model.count_params() == 920_715
    assert model.input_shape == (None, 50, 128, 128, 1)
    assert model.output_shape == (None, 3)
    assert model.get_layer("flatten").output.shape == (None, 1152)


def test_only_the_first_convolution_goes_without_padding() -> None:
    model = build_classifier(TINY, (20, 24, 28))
    sizes = {layer.name: tuple(layer.output.shape[1:4]) for layer in model.layers if layer.name.startswith("stage")}
    assert sizes["stage1a"] == sizes["stage1b"] == (18, 22, 26)
    assert sizes["stage2a"] == sizes["stage2b"] == sizes["stage1_pool"] == (9, 11, 13)


def test_answers_are_probabilities() -> None:
    model = build_classifier(TINY, (16, 16, 16))
    stacks = np.random.default_rng(0).normal(size=(4, 16, 16, 16, 1)).astype(np.float32)
    answers = np.asarray(model(stacks))
    assert (answers >= 0).all()
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-6)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = (build_classifier(TINY, (16, 16, 16), seed=seed).get_weights() for seed in (3, 3, 4))
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a, b)
    assert np.abs(first[0] - other[0]).max() > 0.01


@saves
def test_it_learns_and_survives_saving(tmp_path: Path) -> None:
    model = compile_classifier(build_classifier(replace(TINY, dropout=0.0), (16, 16, 16)), TINY)
    labels = np.arange(9) % 3
    stacks = (labels / 2).astype(np.float32)[:, None, None, None, None] * np.ones((1, 16, 16, 16, 1), np.float32)
    history = model.fit(stacks, np.eye(3, dtype=np.float32)[labels], epochs=25, verbose=0).history
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    assert "accuracy" in history
    model.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    np.testing.assert_array_equal(loaded(stacks), model(stacks))


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_smoothed_targets_give_each_class_its_share_of_the_weight(smoothing: float) -> None:
    config = replace(TINY, label_smoothing=smoothing)
    model = compile_classifier(build_classifier(config, (16, 16, 16)), config)
    target, answer = np.float32([[0, 1, 0]]), np.float32([[0.1, 0.7, 0.2]])
    shares = (1 - smoothing) * target + smoothing / 3
    loss = model.compute_loss(y=target, y_pred=answer)
    assert float(loss) == pytest.approx(-(shares * np.log(answer)).sum(), rel=1e-5)


def test_the_smallest_stack_that_fits_works_and_the_next_smaller_is_refused() -> None:
    config = replace(TINY, filters=(2, 2, 2, 2))
    assert build_classifier(config, (18, 18, 18)).output_shape == (None, 3)
    with pytest.raises(ConfigError, match=r"shape \(17, 32, 32\) is too small for 4 stages .* at least 18"):
        build_classifier(config, (17, 32, 32))


def test_a_network_without_stages_is_refused() -> None:
    with pytest.raises(ConfigError, match="must name at least one stage"):
        build_classifier(replace(TINY, filters=()), (16, 16, 16))


def test_importing_the_package_leaves_keras_alone() -> None:
    programme = "import sys, covidctnet.networks; sys.exit('keras' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", programme], check=False).returncode == 0


def test_every_public_name_is_there_and_no_other() -> None:
    for name in covidctnet.networks.__all__:
        assert getattr(covidctnet.networks, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'build_transformer'"):
        covidctnet.networks.build_transformer  # noqa: B018
