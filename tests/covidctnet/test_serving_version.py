"""The version under which TensorFlow Serving knows a pair."""

import pytest

from covidctnet.bundle import serving_version
from covidctnet.errors import BundleError


def test_every_pair_is_a_positive_int64_of_its_own() -> None:
    pairs = ["0" * 16, "0" * 15 + "1", "7" + "f" * 14 + "e", "deadbeef" * 2, "503b316947ece8c9"]
    versions = [serving_version(pair) for pair in pairs]
    assert all(1 <= version < 2**63 for version in versions)
    assert len(set(versions)) == len(pairs)
    assert serving_version("503b316947ece8c9") == 5781268874908199114


@pytest.mark.parametrize("pair", ["", "abc", "G" * 16, "0" * 17, "ABCDEF0123456789"])
def test_what_is_no_pair_id_has_no_version(pair: str) -> None:
    with pytest.raises(BundleError, match="16 hexadecimal digits"):
        serving_version(pair)
