"""Notice a denoiser that answers the same to everything."""

from typing import Any

import numpy as np

from covidctnet.errors import TrainingError
from covidctnet.volume import UnitArray


def require_live_output(model: Any, slices: UnitArray) -> None:
    """Refuse a trained denoiser that answers the same to everything.

    Args:
        model: denoiser, called on (slice, y, x, 1).
        slices: different slices, axes (slice, y, x), 0 to 1.

    Raises:
        TrainingError: from slice to slice its output varies by less than a hundredth of what its input does.
    """
    answer = np.asarray(model(slices[..., None], training=False))[..., 0]
    varied, given = answer.std(axis=0).mean(), slices.std(axis=0).mean()
    if varied < 0.01 * given:
        raise TrainingError(
            f"the denoiser collapsed: from slice to slice its output varies by {varied:.2g}, its input by {given:.2g}; "
            "train longer, or use another seed"
        )
