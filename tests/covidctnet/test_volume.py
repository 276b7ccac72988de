import numpy as np
import pytest

from covidctnet.errors import GeometryError
from covidctnet.volume import Scanner, Volume


@pytest.mark.parametrize(
    ("manufacturer", "model", "text"),
    [
        ("SIEMENS", "SOMATOM Scope", "Siemens SOMATOM Scope"),
        ("Siemens Healthineers", "Force", "Siemens Force"),
        ("GE MEDICAL SYSTEMS", "Optima", "GE Optima"),
        ("Canon Medical Systems", "", "Canon"),
        ("Acme", "X", "Acme X"),
        ("", "", "unknown scanner"),
    ],
)
def test_a_scanner_is_named_by_brand_and_model(manufacturer: str, model: str, text: str) -> None:
    assert str(Scanner(manufacturer=manufacturer, model=model)) == text


def test_extent_is_size_times_spacing() -> None:
    volume = Volume(hu=np.zeros((2, 3, 4), np.float32), spacing_mm=(5.0, 1.0, 0.5))
    assert volume.extent_mm == (10.0, 3.0, 2.0)


@pytest.mark.parametrize(
    ("hu", "spacing", "message"),
    [
        (np.zeros((2, 3), np.float32), (1.0, 1.0, 1.0), r"not shape \(2, 3\)"),
        (np.zeros((0, 3, 3), np.float32), (1.0, 1.0, 1.0), "and voxels"),
        (np.zeros((2, 3, 3), np.int16), (1.0, 1.0, 1.0), "not int16"),
        (np.zeros((2, 3, 3), np.float32), (1.0, 0.0, 1.0), "positive and finite"),
        (np.zeros((2, 3, 3), np.float32), (1.0, float("nan"), 1.0), "positive and finite"),
    ],
)
def test_what_is_no_volume_is_refused(hu: np.ndarray, spacing: tuple[float, float, float], message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        Volume(hu=hu, spacing_mm=spacing)
