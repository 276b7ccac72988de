import numpy as np

from covidctnet.phantom.draws import chance, normals, side, uniforms, unit_vector, white_noise


def generator() -> np.random.Generator:
    return np.random.default_rng(4)


def test_uniform_numbers_fill_their_range() -> None:
    drawn = uniforms(generator(), -3.0, 5.0, 4000)
    assert -3.0 <= drawn.min() < -2.9
    assert 4.9 < drawn.max() < 5.0
    assert abs(drawn.mean() - 1.0) < 0.15


def test_normal_numbers_have_their_mean_and_spread() -> None:
    drawn = normals(generator(), 10.0, 2.0, 4000)
    assert abs(drawn.mean() - 10.0) < 0.12
    assert abs(drawn.std() - 2.0) < 0.1
    # About two thirds lie within one standard deviation, as of every normal number.
    assert 0.65 < np.mean(np.abs(drawn - 10.0) < 2.0) < 0.72


def test_chance_and_side_come_as_often_as_they_should() -> None:
    rng = generator()
    assert 0.16 < np.mean([chance(rng, 0.2) for _ in range(2000)]) < 0.24
    sides = [side(rng) for _ in range(2000)]
    assert set(sides) == {-1.0, 1.0}
    assert abs(np.mean(sides)) < 0.08


def test_a_unit_vector_keeps_its_direction() -> None:
    np.testing.assert_allclose(unit_vector([3.0, 0.0, -4.0]), [0.6, 0.0, -0.8], atol=1e-15)


def test_white_noise_has_unit_spread_and_no_correlation() -> None:
    noise = white_noise(generator(), (20, 64, 64))
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1.0) < 0.02
    assert abs(np.mean(noise[:, 1:] * noise[:, :-1])) < 0.02
