"""A study of DICOM files to one Volume."""

from pathlib import Path

import numpy as np

from covidctnet.config import ReaderConfig
from covidctnet.dicom.geometry import find_geometry
from covidctnet.dicom.headers import Slice, find_ct_slices
from covidctnet.dicom.pixels import decode_series
from covidctnet.dicom.series import choose_series
from covidctnet.dicom.sources import read_files
from covidctnet.volume import Scanner, Volume


def read_study(source: Path | bytes, config: ReaderConfig) -> Volume:
    """Read the diagnostic axial series of a study.

    Args:
        source: folder, zip, file, or bytes of a zip or file.
        config: what is accepted.

    Raises:
        StudyError: one of its kinds, with the reason.
    """
    choice = choose_series(find_ct_slices(read_files(source, config), config), config)
    geometry = find_geometry(choice.slices, config)
    ordered = [choice.slices[index] for index in geometry.order]
    hu = decode_series(ordered)
    if geometry.flip[0]:
        hu = hu[:, ::-1, :]
    if geometry.flip[1]:
        hu = hu[:, :, ::-1]
    return Volume(
        hu=np.ascontiguousarray(hu),
        spacing_mm=geometry.spacing_mm,
        origin_mm=geometry.origin_mm,
        scanner=describe_scanner(ordered[0]),
        series=choice.reason,
        warnings=choice.warnings,
    )


def describe_scanner(image: Slice) -> Scanner:
    """The scanner as the header of one image tells it."""
    return Scanner(
        manufacturer=image.text("Manufacturer"),
        model=image.text("ManufacturerModelName"),
        kernel=image.text("ConvolutionKernel"),
        slice_thickness_mm=image.number("SliceThickness"),
        kvp=image.number("KVP"),
    )
