"""Add a real series to a cohort: read, check, strip of identity, pack."""

import hashlib
import os
from pathlib import Path

from covidctnet.cohort import Case, Cohort
from covidctnet.config import ReaderConfig
from covidctnet.dicom.pack import pack_series
from covidctnet.errors import CohortError
from covidctnet.labels import label_index
from covidctnet.reading import read_volume


def add_study(
    folder: Path, study: Path, *, label: str, patient: str, site: str, reader: ReaderConfig | None = None
) -> Case:
    """Add one study to the cohort in a folder; the cohort is made when the folder holds none.

    The case is named after its content, so that adding a study twice is refused.

    Args:
        folder: the cohort.
        study: folder or zip of one CT series.
        label: one of the three classes.
        patient: pseudonym of the patient.
        site: pseudonym of the site.
        reader: thresholds of the reader.

    Raises:
        StudyError: the reader refuses the study; nothing is added.
        CohortError: the label, a pseudonym or the combination with other cases is refused.
    """
    label_index(label)
    cohort = Cohort.load(folder) if (folder / "cohort.csv").is_file() else Cohort(folder=folder, cases=())
    config = reader or ReaderConfig()
    partial = folder / "cases" / "incoming.partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    try:
        scanner = pack_series(study, partial, patient=patient, config=config)
        packed = partial.read_bytes()
        read_volume(packed, config)
        digest = hashlib.sha256(packed).hexdigest()
        case = Case(
            case=f"case-{digest[:10]}",
            patient=patient,
            site=site,
            label=label,
            scanner=str(scanner),
            kernel=scanner.kernel,
            sha256=digest,
        )
        if any(known.sha256 == digest for known in cohort.cases):
            raise CohortError(f"{case.case} is in the cohort already; remove it first to change its label")
        grown = cohort.add(case)
        os.replace(partial, cohort.path(case.case))
    finally:
        partial.unlink(missing_ok=True)
    grown.save()
    return case
