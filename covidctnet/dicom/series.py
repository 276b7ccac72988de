"""Choose the diagnostic axial series of a study, by explicit rules, and say why."""

import re
from collections import defaultdict
from collections.abc import Callable, Hashable
from dataclasses import dataclass

import numpy as np

from covidctnet.config import ReaderConfig
from covidctnet.dicom.headers import Slice, Vector
from covidctnet.errors import UnsuitableSeriesError

_NOT_DIAGNOSTIC = {
    "LOCALIZER": "localizer",
    "DERIVED": "derived images",
    "REFORMATTED": "reformatted images",
    "MPR": "reformatted images",
    "MIP": "projections",
    "PROJECTION IMAGE": "projections",
    "SCREEN SAVE": "screen shots",
    "SECONDARY": "secondary capture",
}
"""Values of ImageType (DICOM PS3.3 C.8.2.1.1.1) that mark images that are no original axial slices."""

_SHARP_KERNEL = re.compile(
    r"^(B[A-Z]?[5-9]\d|[HT][A-Z]?[5-9]\d|D[5-9]\d|I[5-9]\d|LUNG|BONE|EDGE|ULTRA|CHST|FC[3-8]\d|Y[A-Z]|L$|[DE]$|F[6-9]\d)",
    re.IGNORECASE,
)
"""Kernels for lung or bone by the names of Siemens, GE, Toshiba, Philips and Neusoft: sharp, and noisy."""

_UID = re.compile(r"[0-9a-f.-]{16,64}", re.IGNORECASE)
_SAME_DIRECTION = 0.02


@dataclass(frozen=True, kw_only=True)
class Choice:
    """The series that an answer is about.

    Attributes:
        slices: its images, in no particular order.
        reason: what it is, what else was there, and by which rule it was taken.
        warnings: what a reader of the answer should know of the choice.
    """

    slices: list[Slice]
    reason: str
    warnings: tuple[str, ...] = ()


_RULES: tuple[tuple[str, Callable[[list[Slice]], float]], ...] = (
    ("it has the most slices", lambda series: -len(series)),
    ("its slices are thinner", lambda series: series[0].number("SliceThickness") or 99.0),
    ("its kernel is softer", lambda series: float(is_sharp(series[0].text("ConvolutionKernel")))),
    ("it came first", lambda series: series[0].index),
)
"""In the order in which they decide between original axial series: the smaller value is taken."""


def choose_series(slices: list[Slice], config: ReaderConfig) -> Choice:
    """The original axial series with the most slices; of equal ones the thinner, then the softer kernel.

    Raises:
        UnsuitableSeriesError: the images are of several patients, or no series remains; the message tells why each
            was passed over.
    """
    _require_one_patient(slices)
    refused, candidates = [], []
    for series in group_series(slices):
        reason = _why_not(series, config)
        if reason:
            refused.append(f"{len(series)} slices: {reason}")
        else:
            candidates.append(series)
    if not candidates:
        raise UnsuitableSeriesError("no series can be used: " + "; ".join(refused))
    candidates.sort(key=lambda series: [rule(series) for _, rule in _RULES])
    chosen, *others = candidates
    parts = [f"axial series of {describe(chosen)}"]
    if others:
        decided = next(words for words, rule in _RULES if rule(chosen) != rule(others[0]))
        parts.append(f"taken from {len(candidates)} because {decided}; others: {', '.join(map(describe, others))}")
    if refused:
        parts.append("passed over " + "; ".join(refused))
    reason = "; ".join(parts)
    warnings = [reason] if others else []
    studies = {series[0].text("StudyInstanceUID") for series in candidates}
    if len(studies) > 1:
        warnings.append(f"series of {len(studies)} studies were handed in, and the answer is about one of them")
    if any(image.text("LossyImageCompression") == "01" for image in chosen):
        warnings.append("the images were compressed with loss: fine structures may be gone")
    return Choice(slices=chosen, reason=reason, warnings=tuple(warnings))


def _require_one_patient(slices: list[Slice]) -> None:
    # An answer about whoever has more slices would be filed under whoever was asked about.
    patients = {image.text("PatientID") for image in slices} - {""}
    if len(patients) > 1:
        raise UnsuitableSeriesError(f"the images are of {len(patients)} patients; send the study of one")


def describe(series: list[Slice]) -> str:
    """A series in a few words: "133 slices of 2 mm, kernel D40s"."""
    thickness, kernel = series[0].number("SliceThickness"), series[0].text("ConvolutionKernel")
    size = f"{len(series)} slices" + (f" of {thickness:g} mm" if thickness else "")
    return f"{size}, kernel {kernel}" if kernel else size


def is_sharp(kernel: str) -> bool:
    """Whether a kernel's name is one for lung or bone."""
    return bool(_SHARP_KERNEL.match(kernel.strip()))


def group_series(slices: list[Slice]) -> list[list[Slice]]:
    """Slices by series; where SeriesInstanceUID is empty or no identifier, by what sets two series apart.

    Localizers and images of another orientation inside one series are groups of their own. The number of the
    acquisition is not looked at: a chest may be scanned in two breaths, and half of it would be lost.
    """
    groups: dict[Hashable, list[Slice]] = defaultdict(list)
    directions: list[Vector] = []
    for image in slices:
        groups[_series_key(image), _mark(image), _direction(image, directions)].append(image)
    return list(groups.values())


def _series_key(image: Slice) -> Hashable:
    uid = image.text("SeriesInstanceUID")
    if _UID.fullmatch(uid):
        return uid
    apart = ("StudyInstanceUID", "SeriesNumber", "ConvolutionKernel", "Rows", "Columns", "SliceThickness")
    return (uid, *(image.text(keyword) for keyword in apart), image.text("PixelSpacing"))


def _direction(image: Slice, known: list[Vector]) -> int:
    orientation = image.vector("ImageOrientationPatient", 6)
    if orientation is None:
        return -1
    for number, other in enumerate(known):
        if np.abs(orientation - other).max() < _SAME_DIRECTION:
            return number
    known.append(orientation)
    return len(known) - 1


def _mark(image: Slice) -> str:
    return next((reason for mark, reason in _NOT_DIAGNOSTIC.items() if mark in image.image_type), "")


def _why_not(series: list[Slice], config: ReaderConfig) -> str:
    mark = _mark(series[0])
    if mark:
        return mark
    if len(series) < config.min_slices:
        return f"fewer than {config.min_slices}"
    return f"more than {config.max_slices}" if len(series) > config.max_slices else ""
