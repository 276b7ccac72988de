from pathlib import Path

import numpy as np

from covidctnet.phantom.truth import load_truth, save_truth


def test_truth_survives_writing(tmp_path: Path) -> None:
    mask = np.random.default_rng(0).random((3, 5, 7)) < 0.5
    save_truth(tmp_path / "truth" / "a.npz", lung=mask, infection=~mask)
    found = load_truth(tmp_path / "truth" / "a.npz")
    np.testing.assert_array_equal(found["lung"], mask)
    np.testing.assert_array_equal(found["infection"], ~mask)
