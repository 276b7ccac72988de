"""The hold-out that two models are compared on: its cases, its version, and what is known of its patients."""

import csv
import hashlib
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydicom.errors import InvalidDicomError

from covidctnet.cohort import Case, Cohort
from covidctnet.config import EvaluationConfig
from covidctnet.dicom.case_header import read_case_header, sex_and_age_band
from covidctnet.errors import PromotionError
from covidctnet.evaluation.baselines import CaseDescription, fit_baseline, metadata_features
from covidctnet.labels import label_index
from covidctnet.promotion.reports import CaseResult, parse_document
from covidctnet.splits import Ledger
from covidctnet.volume import Scanner

DEMOGRAPHICS = "demographics.csv"
_COLUMNS = ("patient", "sex", "age_band")
_UNKNOWN = float("nan")


@dataclass(frozen=True, kw_only=True)
class Holdout:
    """The hold-out cases of a cohort.

    Attributes:
        cohort: restricted to these cases.
        training: cases of the training split, for the metadata baseline.
        demographics: sex and age band by patient, as far as known.
    """

    cohort: Cohort
    training: tuple[Case, ...]
    demographics: Mapping[str, tuple[str, str]]

    @classmethod
    def load(cls, folder: Path, ledger: Path, demographics: Path | None = None) -> "Holdout":
        """Read a cohort, take the cases of its hold-out patients and check their zips.

        Args:
            folder: of the cohort.
            ledger: `splits.csv`; patients without a row are left out.
            demographics: CSV with the columns patient, sex, age_band; `demographics.csv` of the cohort when None. Who
                is not in it is taken from the header of their first case, where the ingest kept age and sex.

        Raises:
            CohortError: table, ledger or zips are missing or contradict each other.
            PromotionError: nobody is in the hold-out, or the demographics are refused.
        """
        cohort = Cohort.load(folder)
        splits = {row.patient: row.split for row in Ledger.load(ledger).rows}
        cases = tuple(case for case in cohort.cases if splits.get(case.patient) == "holdout")
        if not cases:
            raise PromotionError(f"no case of the cohort is in the hold-out of {ledger.name}; is it the right ledger?")
        chosen = Cohort(folder=folder, cases=tuple(sorted(cases, key=lambda case: case.case)))
        chosen.verify()
        return cls(
            cohort=chosen,
            training=tuple(case for case in cohort.cases if splits.get(case.patient) == "train"),
            demographics=_of_headers(chosen) | _find_demographics(folder, demographics),
        )

    @property
    def version(self) -> str:
        """Hash of cases, patients, sites, labels and images: the data version of exactly these cases."""
        rows = [(case.case, case.patient, case.site, case.label, case.sha256) for case in self.cohort.cases]
        return hashlib.sha256(repr(rows).encode()).hexdigest()[:16]

    def describe(self, case: Case, *, brand: str) -> CaseResult:
        """A case that is not answered yet."""
        sex, age_band = self.demographics.get(case.patient, ("", ""))
        values = {
            "case": case.case,
            "patient": case.patient,
            "label": label_index(case.label),
            "brand": brand,
            "site": case.site,
            "sex": sex,
            "age_band": age_band,
            "probabilities": None,
            "covid_positive": None,
        }
        return parse_document(CaseResult, values, f"sex and age of patient {case.patient}")

    def metadata_auc(self) -> float | None:
        """Macro AUC of brand, model and kernel alone on these cases; None where a class is missing."""
        if not self.training:
            return None
        found = fit_baseline(
            "metadata",
            metadata_features,
            _describe(self.training),
            _describe(self.cohort.cases),
            config=EvaluationConfig(bootstrap_samples=10),
            seed=0,
        )
        return found.macro_auc.value


def _describe(cases: Sequence[Case]) -> list[CaseDescription]:
    # The table holds no acquisition: unknown numbers are the same for all cases, and tell nothing.
    return [
        CaseDescription(
            case=case.case,
            patient=case.patient,
            label=label_index(case.label),
            scanner=Scanner(manufacturer=case.scanner, model=case.scanner, kernel=case.kernel),
            spacing_mm=(_UNKNOWN, _UNKNOWN, _UNKNOWN),
            shape=(0, 0, 0),
            mean_lung_hu=_UNKNOWN,
        )
        for case in cases
    ]


def _of_headers(cohort: Cohort) -> dict[str, tuple[str, str]]:
    first = {case.patient: case.case for case in reversed(cohort.cases)}
    found = {}
    for patient, case in first.items():
        # What is no image is refused where it is answered for.
        with suppress(OSError, ValueError, zipfile.BadZipFile, InvalidDicomError):
            found[patient] = sex_and_age_band(read_case_header(cohort.path(case)))
    return found


def _find_demographics(folder: Path, path: Path | None) -> dict[str, tuple[str, str]]:
    if path is None and not (folder / DEMOGRAPHICS).is_file():
        return {}
    return read_demographics(path or folder / DEMOGRAPHICS)


def read_demographics(path: Path) -> dict[str, tuple[str, str]]:
    """Sex and age band by patient, from a CSV with the columns patient, sex, age_band.

    Raises:
        PromotionError: there is no such file, its columns are others, or a patient is there twice.
    """
    if not path.is_file():
        raise PromotionError(f"there is no {path.name}; leave it out, or give a CSV with {', '.join(_COLUMNS)}")
    with path.open(newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != _COLUMNS:
            raise PromotionError(f"{path.name} must have the columns {', '.join(_COLUMNS)}, not {rows.fieldnames}")
        found: dict[str, tuple[str, str]] = {}
        for row in rows:
            patient = row["patient"] or ""
            if patient in found:
                raise PromotionError(f"patient {patient} is in {path.name} more than once")
            found[patient] = (row["sex"] or "", row["age_band"] or "")
        return found
