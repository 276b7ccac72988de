"""Whatever is done to a series, it is read right or refused: never a crash, a hang or a wrong geometry."""

import io
import random
from functools import cache

import numpy as np
import pydicom
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from covidctnet.errors import StudyError
from covidctnet.reading import read_volume
from tests.helpers.series import crude_chest, make_files, zip_of

SPACING, PIXEL, COUNT = 10.0, 6.0, 20
MARK = slice(0, 2)
"""Columns of row 0: air, and air raised by ten units a slice, so that each slice shows its number."""

GEOMETRY = ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
OTHERS = (
    "Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "SamplesPerPixel", "NumberOfFrames",
    "RescaleSlope", "RescaleIntercept", "PixelPaddingValue", "SliceThickness", "GantryDetectorTilt", "Modality",
    "ImageType", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "InstanceNumber", "PhotometricInterpretation",
    "PixelData", "KVP", "ConvolutionKernel", "Manufacturer",
)  # fmt: skip
MALFORMED = ("", "nan", "1e400", "-", "\\", "x" * 70, "1\\2", "0\\0\\0\\0\\0\\0", None)
HOSTILE = (*MALFORMED, "0", "-1", "7", "99999999999", "65535", "inf", "1e-300", "ORIGINAL\\PRIMARY\\AXIAL", "MR")

slice_numbers = st.one_of(st.none(), st.integers(0, COUNT - 1))
mutations = st.one_of(
    st.tuples(st.just("set"), slice_numbers, st.sampled_from(GEOMETRY), st.sampled_from(MALFORMED)),
    st.tuples(st.just("set"), slice_numbers, st.sampled_from(OTHERS), st.sampled_from(HOSTILE)),
    st.tuples(st.just("move"), st.integers(0, COUNT - 1), st.integers(0, 2), st.floats(-400, 400, allow_nan=False)),
    st.tuples(st.just("drop"), st.integers(0, COUNT - 1)),
    st.tuples(st.just("double"), st.integers(0, COUNT - 1)),
    st.tuples(st.just("cut"), st.integers(0, COUNT - 1), st.floats(0, 1)),
    st.tuples(st.just("flip"), st.integers(0, COUNT - 1), st.integers(0, 1300), st.integers(1, 255)),
    st.tuples(st.just("junk"), st.binary(max_size=300)),
    st.tuples(st.just("shuffle"), st.integers(0, 9)),
)


@cache
def whole() -> tuple[bytes, ...]:
    hu = crude_chest(COUNT)
    hu[:, 0, 1] = -1000 + 10 * np.arange(COUNT)
    return tuple(make_files(hu, spacing=SPACING, pixel=PIXEL))


def change(data: bytes, keyword: str, value: str | None) -> bytes:
    try:
        dataset = pydicom.dcmread(io.BytesIO(data), force=True)
        if value is None:
            dataset.pop(keyword, None)
        else:
            tag = pydicom.datadict.tag_for_keyword(keyword)
            dataset[tag] = pydicom.DataElement(tag, "UN", value.encode())
            # Written as the bytes that they are: no library would write such values by itself.
            dataset[tag].VR = "LO" if keyword != "PixelData" else "OB"
            dataset[tag]._value = value if keyword != "PixelData" else value.encode()
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=False)
        return buffer.getvalue()
    except Exception:  # noqa: BLE001 - the file was broken by an earlier mutation, so it stays as it is
        return data


def apply(files: list[bytes | None], mutation: tuple[object, ...]) -> None:
    kind, *arguments = mutation
    if kind == "set":
        number, keyword, value = arguments
        for index in range(COUNT) if number is None else [number]:
            if files[index] is not None:
                files[index] = change(files[index], keyword, value)
    elif kind == "move":
        number, axis, distance = arguments
        if files[number] is not None:
            position = [-100.0, -200.0, -300.0 + SPACING * number]
            position[axis] += distance
            files[number] = change(files[number], "ImagePositionPatient", "\\".join(f"{v:.3f}" for v in position))
    elif kind == "drop":
        files[arguments[0]] = None
    elif kind == "double":
        files.append(files[arguments[0]])
    elif kind == "cut" and files[arguments[0]]:
        files[arguments[0]] = files[arguments[0]][: int(arguments[1] * len(files[arguments[0]]))]
    elif kind == "flip" and files[arguments[0]] and arguments[1] < len(files[arguments[0]]):
        data = bytearray(files[arguments[0]])
        data[arguments[1]] ^= arguments[2]
        files[arguments[0]] = bytes(data)
    elif kind == "junk":
        files.append(arguments[0])


@settings(
    max_examples=600,
    deadline=5000,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(mutations, min_size=1, max_size=4))
def test_a_mutated_series_is_read_right_or_refused(done: list[tuple[object, ...]]) -> None:
    files: list[bytes | None] = list(whole())
    for mutation in done:
        apply(files, mutation)
    kept = [data for data in files if data is not None]
    for kind, *arguments in done:
        if kind == "shuffle":
            random.Random(arguments[0]).shuffle(kept)
    try:
        volume = read_volume(zip_of(kept))
    except StudyError:
        return
    assert volume.spacing_mm[1:] == (PIXEL, PIXEL)
    assert abs(volume.spacing_mm[0] - SPACING) < 0.1 * SPACING
    assert volume.hu.shape[0] >= 12
    assert np.isfinite(volume.hu).all()
    if not any(mutation[0] == "flip" or "Rescale" in str(mutation[2:3]) for mutation in done):
        numbers = np.round((volume.hu[:, 0, 1] - volume.hu[:, 0, 0]) / 10).astype(int)
        np.testing.assert_array_equal(numbers, np.arange(numbers[0], numbers[0] + len(numbers)))
        assert volume.origin_mm[2] == -300.0 + SPACING * numbers[0] or any(m[0] == "move" for m in done)
