"""Notice a denoiser that answers the same to everything."""

from typing import Any

import numpy as np

from covidctnet.errors import TrainingError
from covidctnet.volume import UnitArray


def require_live_output(model: Any, slices: UnitArray) -> None:
    """Refuse a trained denoiser that answers nearly the same to everything.

    Raises:
        TrainingError: its output varies by less than a tenth of its input.
    """
    answer = np.asarray(model(slices[..., None], training=False))[..., 0]
    if answer.std() < 0.1 * slices.std():
        raise TrainingError(
            f"the denoiser collapsed: its output varies by {answer.std():.4f}, its input by {slices.std():.4f}; "
            "train longer, or use another seed"
        )
