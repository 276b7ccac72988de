import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest

from covidctnet.cohort import Cohort
from covidctnet.dicom.deidentify import Deidentifier
from covidctnet.dicom.vocabulary import load_vocabulary
from covidctnet.errors import CohortError, NoStudyFoundError, PseudonymKeyError
from covidctnet.label_book import read_labels
from covidctnet.pseudonyms import KeyRing
from integrations.data_history import read_log
from integrations.data_holders import find_holders
from integrations.data_ingest import IngestReport, ingest, relabel, remove_patient
from integrations.data_versions import version_of
from integrations.data_workspace import Workspace, create_workspace
from tests.helpers.series import make_files, write_folder, zip_of

ROOT = Path(__file__).parents[2]
KEYS = KeyRing((b"k" * 32,))


def series(number: int, patient: str, **values: str) -> list[bytes]:
    """A series of a patient whose images are like no other's."""

    def edit(image: pydicom.FileDataset, index: int) -> None:
        image.PatientID, image.ManufacturerModelName = patient, "SOMATOM Scope"
        image.RescaleIntercept = str(-1024 + number)
        for keyword, value in values.items():
            setattr(image, keyword, value)

    return make_files(edit=edit, series=f"{number}")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return create_workspace(tmp_path / "workspace")


def run(place: Workspace, source: Path, *, label: str | None = "CAP", table: Path | None = None,
        keys: KeyRing = KEYS, site: str = "s1") -> IngestReport:  # fmt: skip
    return ingest(
        place, source, site=site, labels=read_labels(source, table=table, label=label), keys=keys, workers=1,
        deidentifier=Deidentifier(vocabulary=load_vocabulary()),
    )  # fmt: skip


def test_series_of_folders_and_zips_join_once_whatever_their_form(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "export"
    write_folder(source / "loose", series(1, "A"))
    (source / "b.zip").write_bytes(zip_of(series(2, "B")))
    (source / "readme.txt").write_text("no image")
    first = run(workspace, source)
    assert (len(first.added), first.there, first.refused, first.quarantined) == (2, (), (), ())
    cohort = workspace.cohort()
    cohort.verify()
    assert {case.patient for case in cohort.cases} == {KEYS.resolve("s1", one, ()).patient for one in "AB"}
    assert first.version == version_of(workspace.folder)
    # Sent again in another form: nothing is added, nothing changes.
    (tmp_path / "again.zip").write_bytes(zip_of(series(1, "A")[::-1], names="Z{:03d}"))
    again = run(workspace, tmp_path / "again.zip")
    assert (again.added, len(again.there), again.version) == ((), 1, first.version)
    assert len(read_log(workspace)) == 1
    assert not workspace.staging.exists()


def test_what_is_refused_or_quarantined_says_why_and_the_rest_joins(workspace: Workspace, tmp_path: Path) -> None:
    source = tmp_path / "export"
    source.mkdir()
    contents = {
        "a-good": series(1, "A"),
        "b-gap": [*series(2, "B")[:8], *series(2, "B")[10:]],
        "c-voltage": series(3, "C", KVP="20"),
        "d-unlabelled": series(4, "D"),
        "e-nobody": series(5, ""),
        "f-same-images": series(1, "F"),
        "g-cut-off": [*series(6, "G")[:-1], series(6, "G")[-1][:600]],
    }
    for name, files in contents.items():
        (source / f"{name}.zip").write_bytes(zip_of(files))
    (source / "h-broken.zip").write_bytes(b"PK nothing")
    table = tmp_path / "labels.csv"
    table.write_text("path,label\n" + "".join(f"{name}.zip,CAP\n" for name in contents if name != "d-unlabelled"))
    report = run(workspace, source, label=None, table=table)
    assert len(report.added) == 1
    assert [(item.place, item.reason) for item in report.quarantined] == [
        ("series 3 of 8", "not met: the tube voltage is that of a CT")
    ]
    reasons = {item.place.split()[1]: item.reason for item in report.refused}
    assert "slices are missing" in reasons["2"]
    assert "no row of the label table names it" in reasons["4"]
    assert "PatientID is empty" in reasons["5"]
    assert "of another patient" in reasons["6"]
    assert "cut off or malformed" in reasons["7"]
    assert "the zip cannot be read" in reasons["8"]


def test_a_patient_keeps_the_pseudonym_over_visits_and_key_rotation(workspace: Workspace, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        (tmp_path / f"visit{number}.zip").write_bytes(zip_of(series(number, "A" if number < 3 else "B")))
    run(workspace, tmp_path / "visit1.zip")
    rotated = KEYS.rotated()
    run(workspace, tmp_path / "visit2.zip", keys=rotated)
    run(workspace, tmp_path / "visit3.zip", keys=rotated)
    patients = [case.patient for case in workspace.cohort().cases]
    assert sorted(patients.count(patient) for patient in set(patients)) == [1, 2]
    with pytest.raises(PseudonymKeyError, match="made with the key"):
        run(workspace, tmp_path / "visit1.zip", keys=KeyRing(rotated.keys[1:]))


def test_a_removed_patient_stays_out_and_who_holds_it_is_said(workspace: Workspace, tmp_path: Path) -> None:
    for number, patient in ((1, "A"), (2, "B")):
        (tmp_path / f"{patient}.zip").write_bytes(zip_of(series(number, patient)))
        run(workspace, tmp_path / f"{patient}.zip")
    gone = KEYS.resolve("s1", "A", ()).patient
    held = [record.version for record in read_log(workspace)]
    bundle = tmp_path / "bundles" / "one"
    bundle.mkdir(parents=True)
    (bundle / "manifest.json").write_text(
        json.dumps({"pair_id": "abc", "data_version": read_log(workspace)[0].cohort_version})
    )
    assert remove_patient(workspace, gone) == 1
    cohort = workspace.cohort()
    cohort.verify()
    assert len(list((workspace.data / "cases").iterdir())) == len(cohort.cases) == 1
    holders = find_holders(workspace, gone, bundles=[tmp_path / "bundles"])
    assert (holders.versions, holders.runs, holders.bundles) == (tuple(held), None, ("abc",))
    back = run(workspace, tmp_path / "A.zip")
    assert back.added == ()
    assert "was removed from the cohort and stays out" in back.refused[0].reason
    with pytest.raises(CohortError, match="there is no patient nobody"):
        remove_patient(workspace, "nobody")


def test_runs_that_used_the_data_are_found_in_mlflow(workspace: Workspace, tmp_path: Path) -> None:
    import mlflow

    (tmp_path / "a.zip").write_bytes(zip_of(series(1, "A")))
    version = run(workspace, tmp_path / "a.zip").version
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    with warnings.catch_warnings():
        # MLflow's libraries warn each other of what they will drop.
        warnings.simplefilter("ignore")
        client = mlflow.MlflowClient(uri)
        experiment = client.create_experiment("e", artifact_location=str(tmp_path / "artifacts"))
        used, other = (client.create_run(experiment) for _ in range(2))
        client.log_param(used.info.run_id, "data_version", version)
        client.log_param(other.info.run_id, "data_version", "another")
    patient = KEYS.resolve("s1", "A", ()).patient
    assert find_holders(workspace, patient, tracking_uri=uri).runs == (used.info.run_id,)


def test_a_label_is_corrected_and_the_old_one_kept(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(zip_of(series(1, "A")))
    run(workspace, tmp_path / "a.zip")
    patient = KEYS.resolve("s1", "A", ()).patient
    wrong = run(workspace, tmp_path / "a.zip", label="Control")
    assert "is CAP in the cohort, not Control" in wrong.refused[0].reason
    assert relabel(workspace, patient, "Covid-19", "PCR came back\nlate") == 1
    relabel(workspace, patient, "Control", "mixed up")
    assert workspace.cohort().cases[0].label == "Control"
    with (workspace.data / "relabels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["patient"], row["old"], row["new"], row["reason"]) for row in rows] == [
        (patient, "CAP", "Covid-19", "PCR came back late"), (patient, "Covid-19", "Control", "mixed up"),
    ]  # fmt: skip
    assert len(read_log(workspace)) == 3
    for wrong_label, message in (("Control", "is Control already"), ("Flu", "there is no label")):
        with pytest.raises(CohortError, match=message):
            relabel(workspace, patient, wrong_label, "x")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("patient\nA\n", "needs a column label"),
        ("label\nCAP\n", "needs a column label"),
        ("patient,label\nA,Flu\n", "line 2 of the table of labels holds no label that is known"),
        ("patient,label\n,CAP\n", "line 2 of the table of labels names nothing"),
        ("patient,label\nA,CAP\nA,Control\n", "line 3 of the table of labels contradicts"),
    ],
)
def test_a_wrong_table_of_labels_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(CohortError, match=message):
        read_labels(tmp_path, table=tmp_path / "labels.csv", label=None)


def test_labels_are_looked_up_by_patient_and_nothing_is_no_series(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number, patient in ((1, "A"), (2, "B")):
        (tmp_path / "in" / f"{number}.zip").write_bytes(zip_of(series(number, patient)))
    (tmp_path / "labels.csv").write_text("patient,label\nA,CAP\nB,Control\n")
    report = run(workspace, tmp_path / "in", label=None, table=tmp_path / "labels.csv")
    assert len(report.added) == 2
    assert {case.label for case in workspace.cohort().cases} == {"CAP", "Control"}
    (tmp_path / "empty").mkdir()
    with pytest.raises(NoStudyFoundError):
        run(workspace, tmp_path / "empty")
    with pytest.raises(CohortError, match="either one label"):
        read_labels(tmp_path, table=None, label=None)


@pytest.mark.slow
def test_an_ingest_that_is_killed_at_any_moment_leaves_the_cohort_and_a_rerun_completes(tmp_path: Path) -> None:
    source = tmp_path / "export"
    source.mkdir()
    for number, patient in ((2, "B"), (3, "C"), (4, "D")):
        (source / f"{patient}.zip").write_bytes(zip_of(series(number, patient)))
    (tmp_path / "first.zip").write_bytes(zip_of(series(1, "A")))
    environment = {**os.environ, "COVIDCTNET_PSEUDONYM_KEYS": "6b" * 32, "PYTHONPATH": str(ROOT)}

    def start(place: Workspace) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", "from cli.main import main; main()", "data", "ingest", str(source),
                   "--site", "s1", "--label", "CAP", "-w", str(place.folder), "--json"]  # fmt: skip
        return subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)

    def fresh(name: str) -> Workspace:
        place = create_workspace(tmp_path / name)
        run(place, tmp_path / "first.zip")
        return place

    whole = fresh("whole")
    before = version_of(whole.folder)
    begun = time.monotonic()
    assert start(whole).wait() == 0
    duration = time.monotonic() - begun
    after = version_of(whole.folder)
    rng = random.Random(0)
    for attempt in range(3):
        place = fresh(f"killed{attempt}")
        old = place.cohort()
        process = start(place)
        # The first seconds are imports: most kills fall into the work and its end.
        time.sleep(duration * rng.uniform(0.3, 1.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        left = place.cohort()
        left.verify()
        assert left.cases == old.cases or len(left.cases) == 4
        assert version_of(place.folder) in {before, after}
        assert start(place).wait() == 0
        Cohort.load(place.data).verify()
        assert replace(place.cohort(), folder=whole.data) == whole.cohort()
        assert version_of(place.folder) == after
