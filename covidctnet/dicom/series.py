"""Choose the diagnostic axial series of a study, by explicit rules, and say why."""

import logging
from collections import defaultdict
from collections.abc import Hashable

from covidctnet.config import ReaderConfig
from covidctnet.dicom.headers import Slice
from covidctnet.errors import UnsuitableSeriesError

_LOG = logging.getLogger(__name__)

_NOT_DIAGNOSTIC = {
    "LOCALIZER": "localizer",
    "DERIVED": "derived images",
    "REFORMATTED": "reformatted images",
    "MPR": "reformatted images",
    "MIP": "projections",
    "PROJECTION IMAGE": "projections",
    "SCREEN SAVE": "screen shots",
}
"""Values of ImageType (DICOM PS3.3 C.8.2.1.1.1) that mark images that are no original axial slices."""


def choose_series(slices: list[Slice], config: ReaderConfig) -> tuple[list[Slice], tuple[str, ...]]:
    """The original axial series with the most slices; of equal ones, that with the thinner slices.

    Returns:
        Its slices, in no particular order, and warnings for the answer.

    Raises:
        UnsuitableSeriesError: no series remains; the message tells why each was passed over.
    """
    refused, candidates = [], []
    for series in group_series(slices):
        reason = _why_not(series, config)
        if reason:
            refused.append(f"{len(series)} slices: {reason}")
        else:
            candidates.append(series)
    for reason in refused:
        _LOG.info("series passed over, %s", reason)
    if not candidates:
        raise UnsuitableSeriesError("no series can be used: " + "; ".join(refused))
    candidates.sort(key=lambda series: (-len(series), series[0].number("SliceThickness") or 99.0, series[0].place))
    chosen = candidates[0]
    if len(candidates) == 1:
        return chosen, ()
    counts = ", ".join(str(len(series)) for series in candidates)
    return chosen, (f"{len(candidates)} axial series, of {counts} slices: the one with most slices was used",)


def group_series(slices: list[Slice]) -> list[list[Slice]]:
    """Slices by series; where SeriesInstanceUID is empty, by what sets two series apart.

    Localizers and images of another orientation inside one series are groups of their own.
    """
    groups: dict[Hashable, list[Slice]] = defaultdict(list)
    for image in slices:
        groups[_series_key(image)].append(image)
    return list(groups.values())


def _series_key(image: Slice) -> Hashable:
    orientation = image.vector("ImageOrientationPatient", 6)
    direction = () if orientation is None else tuple(orientation.round(2))
    kind = _mark(image)
    uid = image.text("SeriesInstanceUID")
    if uid:
        return uid, kind, direction
    apart = ("StudyInstanceUID", "SeriesNumber", "AcquisitionNumber", "ConvolutionKernel", "Rows", "Columns")
    return (
        tuple(image.text(keyword) for keyword in (*apart, "SliceThickness", "PixelSpacing")),
        kind,
        direction,
    )


def _mark(image: Slice) -> str:
    return next((reason for mark, reason in _NOT_DIAGNOSTIC.items() if mark in image.image_type), "")


def _why_not(series: list[Slice], config: ReaderConfig) -> str:
    mark = _mark(series[0])
    if mark:
        return mark
    if not config.min_slices <= len(series) <= config.max_slices:
        return f"fewer than {config.min_slices} or more than {config.max_slices} slices"
    return ""
