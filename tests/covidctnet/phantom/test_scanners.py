import io
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from covidctnet.cohort import Cohort
from covidctnet.config import ReaderConfig
from covidctnet.dicom.sources import read_files
from covidctnet.lungs import LEFT, RIGHT, segment_lungs
from covidctnet.phantom.scanners import SCANNERS, SITES, site_of
from covidctnet.phantom.truth import load_truth
from covidctnet.reading import read_volume

DOCUMENT = Path(__file__).parents[3] / "docs" / "phantom.md"


def test_there_are_twelve_models_of_five_brands_with_two_matrices() -> None:
    assert len({(scanner.manufacturer, scanner.model) for scanner in SCANNERS}) == 12
    assert len({scanner.manufacturer for scanner in SCANNERS}) == 5
    assert {scanner.matrix for scanner in SCANNERS} == {512, 768}
    assert ("SIEMENS", "SOMATOM Scope") in {(scanner.manufacturer, scanner.model) for scanner in SCANNERS}


def test_the_models_have_the_quirks_of_real_ones() -> None:
    assert {scanner.intercept for scanner in SCANNERS} == {-1024, -1000, 0}
    assert {scanner.signed for scanner in SCANNERS} == {False, True}
    assert {scanner.bits_stored for scanner in SCANNERS} == {12, 13, 16}
    assert {scanner.padding for scanner in SCANNERS} >= {None, 0, -2000, -2048}
    assert {scanner.transfer_syntax for scanner in SCANNERS} == {
        ExplicitVRLittleEndian, ImplicitVRLittleEndian, RLELossless, JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless,
    }  # fmt: skip
    # Written with the wrong sign, or as another value than the pixels hold.
    assert {scanner.padding_tag for scanner in SCANNERS} >= {None, ("US", 63536), ("SS", -32768), ("SS", -2000)}
    assert len({scanner.spacing_mm for scanner in SCANNERS}) >= 4
    assert any(scanner.thickness_mm > scanner.spacing_mm for scanner in SCANNERS)


def test_the_documentation_lists_every_model_as_it_is() -> None:
    rows = [line.split(" | ") for line in DOCUMENT.read_text("utf-8").splitlines()]
    for number, scanner in enumerate(SCANNERS):
        row = next(row for row in rows if row[0].endswith(f" {scanner.model}"))
        assert row[1] == site_of(number).removeprefix("phantom-")
        assert row[2:5] == [
            str(scanner.matrix),
            f"{scanner.thickness_mm:g} / {scanner.spacing_mm:g}",
            ", ".join(scanner.kernels),
        ]
        assert row[5:7] == [f"{scanner.noise_hu:g} / {scanner.grain_mm:g}", str(scanner.intercept)]
        assert row[7] == f"{'signed' if scanner.signed else 'unsigned'} {scanner.bits_stored}"
        assert row[8] == ("air" if scanner.padding is None else str(scanner.padding))
        assert row[9] == ("none" if scanner.padding_tag is None else " ".join(map(str, scanner.padding_tag)))


def test_every_site_has_scanners_of_several_brands() -> None:
    sites = [site_of(number) for number in range(len(SCANNERS))]
    assert Counter(sites).keys() == set(SITES)
    for site in SITES:
        assert len({scanner.manufacturer for scanner, own in zip(SCANNERS, sites, strict=True) if own == site}) >= 2


def headers(cohort: Cohort, case: str) -> list[Dataset]:
    return [pydicom.dcmread(io.BytesIO(data)) for data in read_files(cohort.path(case), ReaderConfig())]


def test_the_reader_accepts_every_model_and_gives_back_its_hounsfield_units(a_case_a_scanner: Cohort) -> None:
    a_case_a_scanner.verify()
    names = {f"{scanner.model}" for scanner in SCANNERS}
    assert {case.scanner.split(" ", 1)[1] for case in a_case_a_scanner.cases} == names
    assert {case.site for case in a_case_a_scanner.cases} == set(SITES)
    for case in a_case_a_scanner.cases:
        scanner = next(scanner for scanner in SCANNERS if case.scanner.endswith(scanner.model))
        volume = read_volume(a_case_a_scanner.path(case.case))
        truth = load_truth(a_case_a_scanner.truth_path(case.case))
        assert truth.keys() == {"lung", "infection", "finding"}
        assert truth["lung"].shape == volume.hu.shape
        assert volume.hu.shape[1] == 64 * scanner.matrix // 512
        assert str(volume.scanner) == case.scanner
        assert volume.scanner.kernel == case.kernel
        assert volume.scanner.kvp == scanner.kvp
        assert volume.spacing_mm[0] == pytest.approx(10.0 * scanner.spacing_mm / 2.5)
        # Lungs lie where the truth says: the axes are those of the phantom.
        assert -950 < np.median(volume.hu[truth["lung"] & ~truth["finding"]]) < -750, case.scanner
        assert volume.hu.min() >= -1024
        assert np.median(volume.hu[:, 0, 0]) < -900


def test_the_lungs_of_every_model_are_found_and_told_apart(a_case_a_scanner: Cohort) -> None:
    for case in a_case_a_scanner.cases:
        volume = read_volume(a_case_a_scanner.path(case.case))
        true = load_truth(a_case_a_scanner.truth_path(case.case))["lung"]
        found = segment_lungs(volume)
        both = np.count_nonzero((found > 0) & true)
        assert 2 * both / (np.count_nonzero(found) + np.count_nonzero(true)) > 0.9, case.scanner
        columns = np.arange(found.shape[2])
        middle = [np.average(columns, weights=(found == side).sum(axis=(0, 1))) for side in (RIGHT, LEFT)]
        assert middle[0] < found.shape[2] / 2 < middle[1]


def test_headers_hold_what_the_table_says_and_no_patient(a_case_a_scanner: Cohort) -> None:
    for case in a_case_a_scanner.cases:
        scanner = next(scanner for scanner in SCANNERS if case.scanner.endswith(scanner.model))
        images = headers(a_case_a_scanner, case.case)
        image = images[0]
        assert image.file_meta.TransferSyntaxUID == scanner.transfer_syntax
        assert image.Manufacturer == scanner.manufacturer
        assert (image.RescaleIntercept, image.PixelRepresentation) == (scanner.intercept, scanner.signed)
        assert ("PixelPaddingValue" in image) == (scanner.padding_tag is not None)
        assert float(image.SliceThickness) == pytest.approx(10.0 * scanner.thickness_mm / 2.5)
        assert image.get("RescaleType") == scanner.rescale_type
        assert np.sign(float(image.get("SpacingBetweenSlices", 0))) == scanner.spacing_sign
        heights = [(int(one.InstanceNumber), float(one.ImagePositionPatient[2])) for one in images]
        assert [z for _, z in sorted(heights)] == sorted((z for _, z in heights), reverse=scanner.numbered_from_head)
        assert len({one.SOPInstanceUID for one in images}) == len(images)
        assert image.PatientName == ""
        assert image.PatientID == case.patient
