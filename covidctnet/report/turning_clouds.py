"""Point clouds that a reader can turn: data and script inside the page, nothing fetched."""

import base64
import hashlib
from collections.abc import Sequence
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import NDArray

from covidctnet.labels import LABELS
from covidctnet.report.anatomy import DEFAULT_WINDOW_HU, RESIDUAL_RANGE
from covidctnet.report.clouds import UNKNOWN_EXTENT, Points, make_cloud, scatter_in_voxels
from covidctnet.report.data import CaseExample

SCRIPT = "clouds.js"


def turning_clouds(
    examples: Sequence[CaseExample], window_hu: tuple[float, float] = DEFAULT_WINDOW_HU, seed: int = 0
) -> list[dict[str, Any]]:
    """What the page's script draws of each case, as plain values for JSON.

    `box` is the size along (x, y, z), the longest side 1. `body`, `lung` and `strong` are points, base64 of bytes
    (x, y, z) from 0 to 255 along the box; `residual` is base64 of one signed byte a point of `strong`, 127 at the end
    of the colours.
    """
    rng, documents = np.random.default_rng(seed), []
    for example in examples:
        cloud = make_cloud(example, window_hu, rng)
        tall, deep, wide = example.extent_mm or UNKNOWN_EXTENT
        longest = max(tall, deep, wide)
        shown = np.clip(cloud.residual / RESIDUAL_RANGE, -1.0, 1.0)
        documents.append(
            {
                "case": example.case,
                "label": LABELS[example.label],
                "answer": LABELS[example.predicted],
                "share": round(cloud.share, 4),
                "box": [round(side / longest, 4) for side in (wide, deep, tall)],
                "body": _pack(cloud.body, example.slices.shape, rng),
                "lung": _pack(cloud.lung, example.slices.shape, rng),
                "strong": _pack(cloud.strong, example.slices.shape, rng),
                "residual": _encode(np.rint(shown * 127).astype(np.int8)),
            }
        )
    return documents


def _pack(points: Points, shape: tuple[int, ...], rng: np.random.Generator) -> str:
    places = scatter_in_voxels(points, rng) / np.array(shape)[:, None] * 255.0
    return _encode(np.rint(places[::-1].T).astype(np.uint8))


def _encode(values: NDArray[np.generic]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")


def cloud_script() -> tuple[str, str]:
    """The script, and its hash for the page's Content-Security-Policy: no other script may run there."""
    text = resources.files("covidctnet.report").joinpath(SCRIPT).read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return text, f"sha256-{digest}"
