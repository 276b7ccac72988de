"""NIfTI and NRRD volumes for research; they carry no scanner, so hospitals should send DICOM."""

from pathlib import Path

import numpy as np

from covidctnet.config import ReaderConfig
from covidctnet.errors import GeometryError, NoStudyFoundError, UnreadableFileError
from covidctnet.volume import Volume

_ENDINGS = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha")


def is_research_format(path: Path) -> bool:
    """Whether a path is named as a NIfTI, NRRD or MetaImage file."""
    return path.name.lower().endswith(_ENDINGS)


def read_research_volume(path: Path, config: ReaderConfig) -> Volume:
    """Read a volume whose voxels are Hounsfield units.

    Raises:
        NoStudyFoundError: there is no such file.
        UnreadableFileError: it cannot be decoded or is larger than allowed.
        GeometryError: it is not three-dimensional, too coarse, or oblique.
    """
    import SimpleITK as sitk  # noqa: N813

    if not path.is_file():
        raise NoStudyFoundError("there is no such file; check the path of the study")
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
        size, dimension = reader.GetSize(), reader.GetDimension()
        if dimension != 3 or reader.GetNumberOfComponents() != 1:
            raise GeometryError(f"a volume has three axes and one value a voxel, not size {size}")
        if 4 * int(np.prod(size)) > config.max_bytes:
            raise UnreadableFileError(f"the volume claims {size} voxels, more than reader.max_bytes allows")
        image = sitk.DICOMOrient(reader.Execute(), "LPS")
    except RuntimeError:
        raise UnreadableFileError("the volume is damaged or of another format; export it again") from None
    direction = np.array(image.GetDirection()).reshape(3, 3)
    tilt = float(np.degrees(np.arccos(np.clip(np.abs(np.diag(direction)).min(), 0, 1))))
    if tilt > max(config.max_tilt_degrees, 1.0):
        raise GeometryError(f"the volume is oblique by {tilt:.1f} degrees; resample it to the patient's axes")
    x, y, z = image.GetSpacing()
    if z > config.max_slice_spacing_mm:
        raise GeometryError(f"slices are {z:.1f} mm apart, more than {config.max_slice_spacing_mm:g} mm")
    left, back, head = image.GetOrigin()
    return Volume(
        hu=np.maximum(sitk.GetArrayFromImage(image).astype(np.float32), np.float32(-1024)),
        spacing_mm=(z, y, x),
        origin_mm=(left, back, head),
        warnings=("no scanner is known: NIfTI and NRRD files do not carry one",),
    )
