"""One file after the other, decoded in one thread."""

import io
import zipfile
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import JPEGLosslessSV1

PADDING = -2000


def decoder_name() -> str:
    """What decodes JPEG Lossless here: pydicom by its plugin, or our codec where no plugin is installed."""
    return "pydicom with GDCM" if get_decoder(JPEGLosslessSV1).is_available else "imagecodecs, as pydicom has no plugin"


def read_series(path: Path) -> tuple[NDArray[np.int16], tuple[float, float, float]]:
    """Read a zip of single images.

    Returns:
        Hounsfield units, axes (z, y, x), and the spacing in mm along (z, y, x), that of z from the first two
        slices.
    """
    with zipfile.ZipFile(path) as archive:
        images = [pydicom.dcmread(io.BytesIO(archive.read(name))) for name in archive.namelist() if name[-1] != "/"]
    images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    by_pydicom = get_decoder(JPEGLosslessSV1).is_available
    slices = []
    for image in images:
        values = (image.pixel_array if by_pydicom else _decode(image)).astype(np.int16)
        values[values == PADDING] = 0
        hu = values.astype(np.float64) * float(image.RescaleSlope) + float(image.RescaleIntercept)
        slices.append(hu.astype(np.int16))
    depth = abs(float(images[1].ImagePositionPatient[2]) - float(images[0].ImagePositionPatient[2]))
    height, width = (float(value) for value in images[0].PixelSpacing)
    return np.stack(slices), (depth, height, width)


def _decode(image: Any) -> Any:
    if image.file_meta.TransferSyntaxUID.is_encapsulated:
        return imagecodecs.ljpeg_decode(next(generate_frames(image.PixelData, number_of_frames=1)))
    return image.pixel_array
