from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from covidctnet.config import NoiseConfig
from covidctnet.errors import ConfigError
from covidctnet.perlin import perlin_field, pseudo_infection

GOLDEN = Path(__file__).parent / "golden" / "pnoise2.npz"
PUBLISHED = {"octaves": 10, "lacunarity": 2.0, "period": 140}


@pytest.mark.parametrize("number", range(12))
def test_fields_equal_those_of_the_c_library(number: int) -> None:
    with np.load(GOLDEN) as golden:
        expected = golden["fields"][number]
        drawn = {name: golden[name][number].item() for name in ("scale", "persistence", "base")}
    field = perlin_field((128, 128), **drawn, **PUBLISHED)
    assert field.dtype == np.float32
    np.testing.assert_allclose(field, expected, rtol=0, atol=1e-5)


def test_noise_is_zero_at_lattice_points_and_continuous_between() -> None:
    field = perlin_field((65, 81), scale=16, octaves=1, persistence=0.5, lacunarity=2.0, period=140, base=7)
    assert not field[::16, ::16].any()
    assert field.std() > 0.1
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1)) < 0.2


def test_first_octave_repeats_after_its_period() -> None:
    field = perlin_field((64, 64), scale=8, octaves=1, persistence=0.5, lacunarity=2.0, period=4, base=300)
    np.testing.assert_array_equal(field[:32], field[32:])
    np.testing.assert_array_equal(field[:, :32], field[:, 32:])
    assert np.abs(field[:16] - field[16:32]).max() > 0.1


def test_a_field_of_a_smaller_size_is_the_corner_of_a_larger_one() -> None:
    drawn = {"scale": 11, "persistence": -0.31, "base": 990, **PUBLISHED}
    np.testing.assert_array_equal(perlin_field((20, 33), **drawn), perlin_field((64, 48), **drawn)[:20, :33])


def test_one_octave_ignores_persistence_and_more_octaves_do_not() -> None:
    drawn = {"scale": 9, "lacunarity": 2.0, "period": 140, "base": 3}
    one = [perlin_field((32, 32), persistence=p, octaves=1, **drawn) for p in (0.1, 0.4)]
    two = [perlin_field((32, 32), persistence=p, octaves=2, **drawn) for p in (0.1, 0.4)]
    np.testing.assert_array_equal(*one)
    assert np.abs(two[0] - two[1]).max() > 0.05


@pytest.mark.parametrize("base", [0, 1, 255, 256, 999, 1024])
def test_every_permitted_base_gives_a_finite_field_even_where_the_hash_reaches_furthest(base: int) -> None:
    field = perlin_field((512, 512), scale=10, persistence=0.49, base=base, **PUBLISHED)
    assert np.isfinite(field).all()
    assert 0.2 < np.abs(field).max() < 2.0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"base": -1}, "noise.base must lie in 0..1024, not -1"),
        ({"base": 1025}, "noise.base must lie in 0..1024, not 1025"),
        ({"scale": 0}, "noise.scale must be positive, not 0"),
        ({"octaves": 0}, "noise.octaves must be at least 1, not 0"),
        ({"persistence": -1.0}, r"persistence -1.0 and 10 octaves has no amplitude"),
    ],
)
def test_values_that_make_no_field_are_refused(changed: dict[str, float], message: str) -> None:
    values = {"scale": 10, "persistence": 0.5, "base": 0, **PUBLISHED, **changed}
    with pytest.raises(ConfigError, match=message):
        perlin_field((8, 8), **values)  # type: ignore[arg-type]


def test_a_pseudo_infection_follows_its_seed_and_nothing_else() -> None:
    first, again, other = (pseudo_infection(np.random.default_rng(seed), (32, 48), NoiseConfig()) for seed in (5, 5, 6))
    assert first.shape == (32, 48)
    assert first.dtype == np.float32
    assert first.tobytes() == again.tobytes()
    assert np.abs(first - other).max() > 0.05


def test_a_pseudo_infection_is_scaled_by_its_weight() -> None:
    one, half = (
        pseudo_infection(np.random.default_rng(1), (16, 16), NoiseConfig(weight=weight)) for weight in (1.0, 0.5)
    )
    np.testing.assert_array_equal(one * np.float32(0.5), half)


def test_ranges_are_half_open() -> None:
    narrow = NoiseConfig(scale=(17, 18), persistence_percent=(-20, -19), base=(77, 78))
    drawn = pseudo_infection(np.random.default_rng(0), (24, 24), narrow)
    np.testing.assert_array_equal(drawn, perlin_field((24, 24), scale=17, persistence=-0.2, base=77, **PUBLISHED))


@pytest.mark.parametrize("name", ["scale", "persistence_percent", "base"])
def test_an_empty_range_is_refused_by_name(name: str) -> None:
    config = replace(NoiseConfig(), **{name: (20, 20)})
    with pytest.raises(ConfigError, match=rf"noise.{name} must be a half-open range .* not \(20, 20\)"):
        pseudo_infection(np.random.default_rng(0), (8, 8), config)


def test_a_base_range_that_leads_outside_of_the_table_is_refused_before_it_is_drawn() -> None:
    with pytest.raises(ConfigError, match="not 1029"):
        pseudo_infection(np.random.default_rng(0), (8, 8), NoiseConfig(base=(0, 1030)))
