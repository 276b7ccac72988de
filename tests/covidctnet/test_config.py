import json
from pathlib import Path

import pytest

from covidctnet.config import load_profile, parse_config, profile_names
from covidctnet.errors import ConfigError


def test_the_paper_profile_holds_the_published_values() -> None:
    paper = load_profile("paper")
    assert paper.preprocess.spacing_mm == (1.0, 1.0, 1.0)
    assert (paper.preprocess.hu_min, paper.preprocess.hu_max) == (-1000.0, 400.0)
    assert paper.preprocess.slice_size == (128, 128)
    assert (paper.noise.scale, paper.noise.persistence_percent, paper.noise.base) == ((10, 30), (-50, 50), (0, 1000))
    assert (paper.noise.octaves, paper.noise.lacunarity, paper.noise.period) == (10, 2.0, 140)
    assert paper.noise.placement == "whole slice"
    assert (paper.denoiser.learning_rate, paper.denoiser.batch_size) == (1e-3, 5)
    assert paper.residual.shape == (50, 128, 128)
    classifier = paper.classifier
    assert (classifier.learning_rate, classifier.batch_size, classifier.epochs) == (1e-4, 16, 100)
    assert classifier.input_gain == 1.0


def test_all_shipped_profiles_load_and_differ() -> None:
    assert {"paper", "demo", "smoke"} <= set(profile_names())
    assert len({load_profile(name).digest for name in profile_names()}) == len(profile_names())


def test_a_configuration_survives_json_and_its_digest_follows_every_value() -> None:
    config = load_profile("demo", seed=5)
    assert parse_config(json.loads(config.to_json())) == config
    assert config.digest != load_profile("demo", seed=6).digest


def test_epochs_and_seed_can_be_replaced() -> None:
    config = load_profile("demo", seed=9, epochs=3)
    assert (config.seed, config.denoiser.epochs, config.classifier.epochs) == (9, 3, 3)
    assert config.denoiser.filters == load_profile("demo").denoiser.filters


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"noise": {"octaves": 99}}, r"noise\.octaves: Input should be less than or equal to 16, not 99"),
        ({"denoiser": {"dropout": 1.0}}, r"denoiser\.dropout: .*less than 1, not 1\.0"),
        ({"preprocess": {"range_handling": "wrap"}}, r"range_handling: .*'clip' or 'air', not 'wrap'"),
        ({"preprocess": {"colour": 1}}, r"preprocess\.colour: Unexpected keyword argument, not 1"),
        ({"seed": -1}, "seed: .*greater than or equal to 0, not -1"),
        ({"residual": {"shape": [1, 2]}}, r"residual\.shape"),
    ],
)
def test_a_wrong_field_is_named_with_value_and_range(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"name": "t", **values})


def test_a_profile_is_a_name_or_a_yaml_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nclassifier: {epochs: 7}\n")
    assert load_profile(str(path)).classifier.epochs == 7
    path.write_text("- a\n")
    with pytest.raises(ConfigError, match="must hold a mapping, not list"):
        load_profile(str(path))
    path.write_text("a: [")
    with pytest.raises(ConfigError, match="is not YAML"):
        load_profile(str(path))
    with pytest.raises(ConfigError, match="there is no profile 'papre'; use one of demo, experiment, paper, smoke"):
        load_profile("papre")
