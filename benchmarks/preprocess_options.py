"""What range handling and interpolation change on one CT series: `python benchmarks/preprocess_options.py STUDY`."""

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from covidctnet.config import PreprocessConfig
from covidctnet.preprocess import preprocess, resample
from covidctnet.reading import read_volume


def main() -> None:
    """Print the figures that docs/adr/0001 argues with."""
    volume = read_volume(Path(sys.argv[1]))
    config = PreprocessConfig()
    seconds, resampled = {}, {}
    for interpolation in ("linear", "bspline"):
        start = time.perf_counter()
        resampled[interpolation] = resample(
            volume.hu, volume.spacing_mm, config.spacing_mm, interpolation=interpolation
        )
        seconds[interpolation] = time.perf_counter() - start
    print(f"scan {volume.hu.min():.0f}..{volume.hu.max():.0f} HU")
    for name, hu in resampled.items():
        print(f"{name}: {hu.min():.0f}..{hu.max():.0f} HU")
    print(f"bspline takes {seconds['bspline'] / seconds['linear']:.1f} times as long as linear")
    clip, air = (preprocess(volume, replace(config, range_handling=name)) for name in ("clip", "air"))
    print(f"'air' changes {100 * np.mean(np.abs(clip - air) > 0.05):.2f} % of the pixels by more than 0.05")


if __name__ == "__main__":
    main()
