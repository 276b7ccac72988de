import numpy as np
import pytest

from covidctnet.phantom.acquisition import ScannerModel, acquire, to_stored
from covidctnet.phantom.grid import Grid
from covidctnet.phantom.scanners import SCANNERS

GRID = Grid(slices=12, matrix=128, slice_spacing_mm=2.0, pixel_spacing_mm=0.7, bottom_mm=0.0)
NAMES = [scanner.model for scanner in SCANNERS]


def image(hu: float, scanner: ScannerModel, *, sharp: bool) -> np.ndarray:
    return acquire(np.full(GRID.shape, hu), GRID, scanner, np.random.default_rng(1), sharp=sharp)


@pytest.mark.parametrize("scanner", SCANNERS, ids=NAMES)
@pytest.mark.parametrize("sharp", [False, True])
def test_noise_in_water_is_that_of_the_model_and_weaker_in_lung(scanner: ScannerModel, sharp: bool) -> None:
    water, lung = image(0.0, scanner, sharp=sharp), image(-860.0, scanner, sharp=sharp)
    assert water.std() == pytest.approx(scanner.noise_hu * (1.5 if sharp else 1.0), rel=0.06)
    assert 0.4 < lung.std() / water.std() < 0.7
    assert lung.mean() == pytest.approx(-860.0, abs=1.0)


@pytest.mark.parametrize("scanner", SCANNERS, ids=NAMES)
def test_a_sharp_kernel_has_a_finer_grain_and_a_sharper_edge(scanner: ScannerModel) -> None:
    edge = np.full(GRID.shape, -900.0)
    edge[:, :, 64:] = 0.0
    neighbours, widths = [], []
    for sharp in (False, True):
        noise = image(0.0, scanner, sharp=sharp)
        neighbours.append(np.corrcoef(noise[:, :, 1:].ravel(), noise[:, :, :-1].ravel())[0, 1])
        profile = acquire(edge, GRID, scanner, np.random.default_rng(0), sharp=sharp).mean(axis=(0, 1))
        widths.append(np.count_nonzero((profile > -800) & (profile < -100)))
    assert neighbours[1] < neighbours[0] - 0.1
    assert widths[1] <= widths[0]


def test_models_differ_in_the_texture_of_their_noise() -> None:
    textures = set()
    for scanner in SCANNERS:
        noise = image(0.0, scanner, sharp=False)
        textures.add((round(noise.std()), round(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1], 1)))
    assert len(textures) >= 8


def test_thick_overlapping_slices_blur_along_the_axis() -> None:
    step = np.zeros(GRID.shape)
    step[6:] = 100.0
    widths = []
    for thickness in (1.0, 4.0):
        scanner = ScannerModel(
            manufacturer="X", model="Y", kernels=("a", "b"), transfer_syntax="", thickness_mm=thickness, noise_hu=0.0
        )
        profile = acquire(step, GRID, scanner, np.random.default_rng(0), sharp=False)[:, 64, 64]
        widths.append(np.count_nonzero((profile > 1.5) & (profile < 98.5)))
    assert widths == [0, 2]


@pytest.mark.parametrize("scanner", SCANNERS, ids=NAMES)
def test_stored_values_are_whole_hounsfield_units_with_the_models_padding(scanner: ScannerModel) -> None:
    hu = np.full(GRID.shape, -860.4)
    stored = to_stored(hu, GRID, scanner)
    assert stored.dtype == (np.int16 if scanner.signed else np.uint16)
    assert stored[0, 64, 64] == -860 - scanner.intercept
    corner = -860 - scanner.intercept if scanner.padding is None else scanner.padding
    assert stored[0, 0, 0] == corner
    low, high = -(2 ** (scanner.bits_stored - 1)) if scanner.signed else 0, 2**scanner.bits_stored
    assert low <= to_stored(hu - 5000, GRID, scanner).min()
    assert to_stored(hu + 9000, GRID, scanner).max() < high
