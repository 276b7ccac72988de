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
