"""Two bundles and a small cohort of DICOM zips: a whole comparison without a trained network."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from covidctnet.bundle import Calibration, Reference, load_bundle, patient_key, write_bundle
from covidctnet.cohort import Case, Cohort
from covidctnet.config import AnswerConfig, load_profile
from covidctnet.labels import LABELS
from covidctnet.predictor import Predictor
from covidctnet.splits import Assignment, Ledger
from tests.helpers.series import crude_chest, make_files, zip_of

BRANDS = ("SIEMENS", "GE MEDICAL SYSTEMS")


def write_cohort(
    folder: Path, *, holdout: int = 9, train: int = 6, say: Callable[[Any, int], None] | None = None
) -> Path:
    """Patients of the three labels in turn; the spine's density tells the label, which a stand-in network can read.

    Args:
        folder: of the cohort.
        holdout, train: patients of each split.
        say: puts more into each header; told the patient's number.
    """
    cases, rows = [], []
    for number in range(holdout + train):
        label = number % 3
        hu = crude_chest(slices=14)
        hu[1, 1, 1] = 100 * label + number // 3
        name, patient = f"case-{number:02d}", f"patient-{number:02d}"
        brand = BRANDS[number // 3 % 2]

        def edit(image: Any, index: int, brand: str = brand, number: int = number) -> None:
            image.Manufacturer = brand
            if say is not None:
                say(image, number)

        data = zip_of(make_files(hu, edit=edit))
        path = folder / "cases" / f"{name}.zip"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        cases.append(
            Case(
                case=name,
                patient=patient,
                site=f"site-{number % 2}",
                label=LABELS[label],
                scanner=f"{brand.split()[0].title() if brand == 'SIEMENS' else 'GE'} Test",
                kernel="B31s",
                sha256=hashlib.sha256(data).hexdigest(),
            )
        )
        split = "holdout" if number < holdout else "train"
        rows.append(Assignment(patient=patient, split=split, label=LABELS[label], scanner=brand, seed="0"))
    Cohort(folder=folder, cases=tuple(cases)).save()
    Ledger(rows=tuple(rows)).save(folder / "splits.csv")
    return folder


def write_model(folder: Path, *, weights: bytes, trained_on: tuple[str, ...] = ("patient-12",)) -> Path:
    """A bundle whose files are real and whose networks are bytes."""
    networks = folder.with_name(folder.name + "-networks")
    (networks / "classifier").mkdir(parents=True)
    (networks / "denoiser.keras").write_bytes(weights)
    (networks / "classifier" / "saved_model.pb").write_bytes(b"graph")
    write_bundle(
        folder,
        networks=networks,
        config=load_profile("smoke"),
        calibration=Calibration(temperature=1.0, threshold=0.5),
        reference=Reference(
            scanners=("Siemens Test",),
            ranges={"mean intensity": (0.0, 1.0)},
            trained_on=tuple(map(patient_key, trained_on)),
        ),
        data_version="d1",
        code_version="c1",
    )
    return folder


def loader(answers: dict[bytes, list[int]]) -> Callable[[Path], Predictor]:
    """Opens bundles; the classifier answers with these classes, one a study in the order of the cases."""

    def load(folder: Path) -> Predictor:
        bundle = load_bundle(folder)
        left = iter(answers[(folder / "denoiser.keras").read_bytes()])

        def classify(stacks: np.ndarray) -> np.ndarray:
            probabilities = np.full((len(stacks), 3), 0.05, np.float32)
            probabilities[:, next(left)] = 0.9
            return probabilities

        policy = AnswerConfig(max_out_of_distribution=1e6)
        return Predictor(bundle, denoiser=lambda batch: batch, classify=classify, policy=policy)

    return load
