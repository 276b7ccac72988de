"""Seeds for the layers of one network."""

import numpy as np


class LayerSeeds:
    """Hands out one seed a layer, different within a network, the same for the same network seed.

    Layers that got their own seed take nothing from the global random state, so the same call builds
    the same weights wherever it stands in a programme.

    Args:
        seed: seed of the network, 0 or above.
    """

    def __init__(self, seed: int) -> None:
        self._draws = np.random.default_rng(seed)

    def __call__(self) -> int:
        """The next layer's seed, from 0 to 2**31 - 1."""
        return int(self._draws.integers(2**31))
