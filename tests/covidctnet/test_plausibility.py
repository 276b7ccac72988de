from collections.abc import Callable

import numpy as np
import pytest

from covidctnet.config import ReaderConfig
from covidctnet.errors import ImplausibleImageError
from covidctnet.plausibility import check_chest
from covidctnet.volume import Volume
from tests.helpers.series import crude_chest


def chest(change: Callable[[np.ndarray], np.ndarray] = lambda hu: hu, spacing: tuple = (10.0, 6.0, 6.0)) -> Volume:
    return Volume(hu=change(crude_chest().astype(np.float32)), spacing_mm=spacing)


def test_a_chest_passes_with_its_doubts_in_words() -> None:
    warnings = check_chest(chest(), ReaderConfig()).warnings
    assert warnings == ("slices are 10.0 mm apart: small lesions may lie between them", "only 20 slices")


def test_a_scan_of_more_than_a_chest_is_a_warning() -> None:
    assert "the scan covers 520 mm from feet to head: more than a chest" in (
        check_chest(chest(spacing=(26.0, 6.0, 6.0)), ReaderConfig()).warnings
    )


@pytest.mark.parametrize(("kept", "end"), [(slice(6, None), "lowest"), (slice(None, 14), "highest")])
def test_lungs_that_reach_the_end_of_the_scan_are_cut_off(kept: slice, end: str) -> None:
    warnings = check_chest(chest(lambda hu: hu[kept]), ReaderConfig()).warnings
    assert f"the lungs are cut off: 100 % of their largest area is in the {end} slice" in warnings
    assert len([warning for warning in warnings if "cut off" in warning]) == 1


@pytest.mark.parametrize(
    ("strict", "message"),
    [
        ({"min_extent_z_mm": 250.0}, "covers 200 mm .* less than 250"),
        ({"min_field_of_view_mm": 400.0}, "less than 400"),
        ({"min_lung_fraction": 0.9}, "less than 90 %"),
        ({"max_air_hu": -1010.0}, "above -1000"),
        ({"min_soft_tissue_fraction": 0.9}, "of soft tissue"),
        ({"min_bone_hu": 900.0}, "highest values are 700"),
    ],
)
def test_every_limit_comes_from_the_configuration(strict: dict[str, float], message: str) -> None:
    check_chest(chest(), ReaderConfig())
    with pytest.raises(ImplausibleImageError, match=message):
        check_chest(chest(), ReaderConfig(**strict))


@pytest.mark.parametrize(
    ("change", "spacing", "message"),
    [
        (lambda hu: hu, (2.0, 6.0, 6.0), "covers 40 mm"),
        (lambda hu: hu, (10.0, 3.0, 3.0), "field of view is 192 x 192 mm"),
        (lambda hu: hu + 1024, (10.0, 6.0, 6.0), "there is no air"),
        (lambda hu: np.where(hu > -500, np.float32(1000), hu), (10.0, 6.0, 6.0), "soft tissue"),
        (lambda hu: np.minimum(hu, np.float32(60)), (10.0, 6.0, 6.0), "there is no bone"),
        (lambda hu: np.where((hu < -800) & (hu > -900), np.float32(40), hu), (10.0, 6.0, 6.0), "lung fills 0.0 %"),
        (lambda hu: np.where(hu == 300, np.float32(np.nan), hu), (10.0, 2.0, 2.0), "field of view"),
        (lambda hu: np.where(hu > -500, np.float32(np.nan), hu), (10.0, 6.0, 6.0), "not numbers"),
    ],
)
def test_what_is_no_chest_in_hounsfield_units_is_refused(
    change: Callable[[np.ndarray], np.ndarray], spacing: tuple, message: str
) -> None:
    with pytest.raises(ImplausibleImageError, match=message):
        check_chest(chest(change, spacing), ReaderConfig())
