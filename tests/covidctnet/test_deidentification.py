"""Identity is planted in every place that can hold any, and looked for in everything that comes out."""

import io
import logging
import random
import zipfile
from pathlib import Path

import numpy as np
import pydicom
import pytest

from covidctnet.cohort import Cohort
from covidctnet.config import ReaderConfig
from covidctnet.dicom.deidentify import Deidentifier
from covidctnet.dicom.vocabulary import load_vocabulary
from covidctnet.discovery import find_series
from covidctnet.ingest import Refused, Staged, join, stage_all
from covidctnet.label_book import read_labels
from covidctnet.pseudonyms import KeyRing
from covidctnet.reading import read_volume
from covidctnet.scanner_metadata import describe_cohort
from integrations.metadata_validation import validate_metadata
from tests.helpers.planting import Planter, compress_with_comment, plant_everywhere, plant_in_device, zip_with_identity
from tests.helpers.series import make_files

KEYS = KeyRing((b"k" * 32,))


@pytest.fixture(autouse=True)
def lenient_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    # What is planted breaks the rules of the representations, as real archives do.
    monkeypatch.setattr(pydicom.config.settings, "writing_validation_mode", pydicom.config.IGNORE)


def make_series(planter: Planter, patient: str, *, device: bool, slices: slice = slice(None)) -> list[bytes]:
    study, series = planter.uid(), planter.uid()

    def edit(image: pydicom.FileDataset, index: int) -> None:
        image.ManufacturerModelName = "SOMATOM Scope"
        if device:
            plant_in_device(image, planter)
            image.RescaleIntercept = "-1023"
        elif index == 1:
            plant_everywhere(image, planter)
        image.PatientName, image.StudyDescription, image.StationName = (planter.word() for _ in range(3))
        image.PatientID, image.StudyInstanceUID, image.SeriesInstanceUID = patient, study, series
        compress_with_comment(image, planter)

    return make_files(edit=edit, series=series)[slices]


def ingest(source: Path, folder: Path, label: str) -> list[Staged | Refused]:
    cohort = Cohort(folder=folder, cases=())
    results = list(
        stage_all(
            find_series(source, ReaderConfig()), folder / "staging", cohort=cohort,
            labels=read_labels(source, table=None, label=label), site="s1", keys=KEYS,
            deidentifier=Deidentifier(vocabulary=load_vocabulary(), keep_characteristics=True),
            reader=ReaderConfig(), workers=1,
        )
    )  # fmt: skip
    join(cohort, [item for item in results if isinstance(item, Staged)])
    return results


def everything_in(folder: Path) -> bytes:
    """All bytes of all files and their names, and of what is packed in zips."""
    parts = []
    for path in sorted(folder.rglob("*")):
        parts.append(str(path.relative_to(folder)).encode())
        if path.is_file():
            parts.append(path.read_bytes())
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                parts += [archive.read(name) for name in archive.namelist()]
    return b"\n".join(parts)


def found_in(content: bytes, planter: Planter) -> list[str]:
    lowered = content.lower()
    return [value for value in planter.planted if value.lower().encode() in lowered]


def test_no_planted_identity_survives(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    planter = Planter(random.Random(0))
    source, folder = tmp_path / "source", tmp_path / "out"
    (source / planter.word()).mkdir(parents=True)
    good = make_series(planter, planter.word(), device=False)
    (source / f"{planter.word()}.zip").write_bytes(zip_with_identity(good, planter))
    renamed = make_series(planter, planter.word(), device=True)
    (source / f"{planter.word()}.zip").write_bytes(zip_with_identity(renamed, planter))
    loose = source / planter.word()
    loose.mkdir()
    for data in make_series(planter, planter.word(), device=True, slices=slice(3)):
        (loose / planter.word()).write_bytes(data)
    planter.planted = set(found_in(everything_in(source), planter))
    assert len(planter.planted) >= 10_000

    results = ingest(source, folder, "CAP")
    assert len([item for item in results if isinstance(item, Staged)]) == 2, results
    table = describe_cohort(Cohort.load(folder), _config(), folder / "metadata.csv", workers=1)
    validate_metadata(table, ledger=None, policy=None, output=folder / "validation")
    out, err = capfd.readouterr()
    told = "\n".join([*map(repr, results), caplog.text, out, err]).encode()
    # Paths of staged files are this test's own.
    assert found_in(everything_in(folder) + told, planter) == []


def _config():  # type: ignore[no-untyped-def]
    from covidctnet.config import load_profile

    return load_profile("smoke")


def test_the_image_and_the_device_survive(tmp_path: Path) -> None:
    planter = Planter(random.Random(1))
    source = tmp_path / "study.zip"
    source.write_bytes(zip_with_identity(make_series(planter, "MRN 0815", device=False), planter))
    (item,) = ingest(source, tmp_path / "out", "Covid-19")
    assert isinstance(item, Staged)
    before, after = read_volume(source), read_volume(tmp_path / "out" / "cases" / f"{item.case.case}.zip")
    np.testing.assert_array_equal(before.hu, after.hu)
    assert (before.spacing_mm, before.origin_mm, before.scanner) == (after.spacing_mm, after.origin_mm, after.scanner)
    assert (after.scanner.model, after.scanner.kernel, after.scanner.kvp) == ("SOMATOM Scope", "B31s", 120.0)
    assert (item.case.scanner, item.case.kernel, item.notes) == ("Siemens SOMATOM Scope", "B31s", ())


def test_a_device_that_is_named_like_a_patient_is_left_out_and_said(tmp_path: Path) -> None:
    def edit(image: pydicom.FileDataset, index: int) -> None:
        image.PatientID, image.ManufacturerModelName, image.ConvolutionKernel = "1", "Doe John", ["B31s", "Doe"]

    source = tmp_path / "study.zip"
    source.write_bytes(zip_with_identity(make_files(edit=edit), Planter(random.Random(2))))
    (item,) = ingest(source, tmp_path / "out", "CAP")
    assert isinstance(item, Staged)
    assert (item.case.scanner, item.case.kernel) == ("Siemens", "")
    assert [note.split()[0] for note in item.notes] == ["ConvolutionKernel", "ManufacturerModelName"]


def header_of(path: Path) -> pydicom.FileDataset:
    with zipfile.ZipFile(path) as archive:
        return pydicom.dcmread(io.BytesIO(archive.read(archive.namelist()[0])))


def test_dates_keep_their_distance_and_old_age_is_cut(tmp_path: Path) -> None:
    def dated(day: str):  # type: ignore[no-untyped-def]
        def edit(image: pydicom.FileDataset, index: int) -> None:
            image.PatientID, image.StudyDate, image.PatientAge, image.PatientSex = "7", day, "097Y", "F"
            image.RescaleIntercept = "-1024" if day == "20200301" else "-1023"

        return edit

    source = tmp_path / "source"
    source.mkdir()
    for day in ("20200301", "20200317"):
        planter = Planter(random.Random(3))
        (source / f"{day}.zip").write_bytes(zip_with_identity(make_files(edit=dated(day)), planter))
    headers = [
        header_of(tmp_path / "out" / "cases" / f"{item.case.case}.zip")
        for item in ingest(source, tmp_path / "out", "CAP")
        if isinstance(item, Staged)
    ]
    first, second = (np.datetime64(f"{h.StudyDate[:4]}-{h.StudyDate[4:6]}-{h.StudyDate[6:]}") for h in headers)
    assert int((second - first) / np.timedelta64(1, "D")) == 16
    assert "20200301" not in {h.StudyDate for h in headers}
    assert {h.PatientID for h in headers} == {KEYS.resolve("s1", "7", ()).patient}
    assert {(h.PatientAge, h.PatientSex) for h in headers} == {("090Y", "F")}
    assert [code.CodeValue for code in headers[0].DeidentificationMethodCodeSequence] == [
        "113100", "113105", "113107", "113108",
    ]  # fmt: skip


@pytest.mark.parametrize("keyword", ["BurnedInAnnotation", "RecognizableVisualFeatures"])
def test_an_image_that_shows_the_patient_is_refused(tmp_path: Path, keyword: str) -> None:
    def edit(image: pydicom.FileDataset, index: int) -> None:
        image.PatientID = "7"
        if index == 11:
            setattr(image, keyword, "YES")

    source = tmp_path / "study.zip"
    source.write_bytes(zip_with_identity(make_files(edit=edit), Planter(random.Random(4))))
    (item,) = ingest(source, tmp_path / "out", "CAP")
    assert isinstance(item, Refused)
    assert keyword in item.reason
    assert not list((tmp_path / "out").rglob("*.zip"))


def test_a_value_that_decides_what_pixels_mean_is_not_dropped(tmp_path: Path) -> None:
    def edit(image: pydicom.FileDataset, index: int) -> None:
        image.PatientID, image.RescaleType = "7", "MGML"

    source = tmp_path / "study.zip"
    source.write_bytes(zip_with_identity(make_files(edit=edit), Planter(random.Random(5))))
    (item,) = ingest(source, tmp_path / "out", "CAP")
    assert isinstance(item, Refused)
    assert "RescaleType that no CT image in HU has" in item.reason
