"""Incoming series -> staged cases -> cohort: read, de-identify, check, pack; then join all at once.

Nothing in the cohort's folder is touched until every series is staged, and the one rename of `cohort.csv` is what
adds them. A process that is killed leaves the cohort as it was, with files beside that belong to no case; the
next change takes them away.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from covidctnet.cohort import Case, Cohort
from covidctnet.config import ReaderConfig
from covidctnet.dicom.deidentify import Deidentifier
from covidctnet.dicom.pack import pack_series
from covidctnet.discovery import FoundSeries
from covidctnet.errors import CohortError, CovidCTNetError
from covidctnet.label_book import LabelBook
from covidctnet.machine import usable_cores
from covidctnet.parallel import start_worker
from covidctnet.progress import Progress, silent
from covidctnet.pseudonyms import KeyRing, Pseudonym
from covidctnet.scanner_metadata import CaseMetadata, describe_case


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A series that is ready to join the cohort.

    Attributes:
        place: "series 3 of 7".
        path: the packed zip, beside the cohort.
        case: its row in `cohort.csv`.
        metadata: what the validation looks at.
        notes: what a person should know, in words.
    """

    place: str
    path: Path
    case: Case
    metadata: CaseMetadata
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Refused:
    """A series that does not join, and why."""

    place: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class _Job:
    series: FoundSeries
    label: str
    site: str
    pseudonym: Pseudonym
    folder: Path
    deidentifier: Deidentifier
    reader: ReaderConfig


def stage_all(
    found: Sequence[FoundSeries],
    folder: Path,
    *,
    cohort: Cohort,
    labels: LabelBook,
    site: str,
    keys: KeyRing,
    deidentifier: Deidentifier,
    reader: ReaderConfig,
    workers: int | None = None,
    on_progress: Progress = silent,
) -> Iterator[Staged | Refused]:
    """De-identify and pack every series into a folder beside the cohort; results in the order of the series.

    Args:
        found: from `covidctnet.discovery.find_series`.
        folder: where the zips go, on the cohort's file system.
        cohort: as it is; patients who are in it keep their pseudonyms.
        labels: of the series.
        site: pseudonym of the site.
        keys: of the pseudonyms.
        deidentifier: what may stay in a header.
        reader: what is accepted.
        workers: processes; all usable cores when None.
        on_progress: told of each finished series.

    Raises:
        PseudonymKeyError: the cohort was made with a key that is not there.
    """
    known = {case.patient for case in cohort.cases}
    keys.require(known)
    folder.mkdir(parents=True, exist_ok=True)
    jobs: list[_Job | Refused] = []
    for series in found:
        try:
            if series.fault:
                raise CohortError(series.fault)
            label, patient = labels.look_up(series)
            pseudonym = keys.resolve(site, patient, known)
        except CovidCTNetError as error:
            jobs.append(Refused(place=series.place, reason=_reason(error)))
            continue
        jobs.append(
            _Job(
                series=series, label=label, site=site, pseudonym=pseudonym, folder=folder,
                deidentifier=deidentifier, reader=reader,
            )
        )  # fmt: skip
    workers = min(workers or usable_cores(), len(jobs))
    with ExitStack() as stack:
        results: Iterator[Staged | Refused] = map(_stage, jobs)
        if workers > 1:
            pool = stack.enter_context(
                ProcessPoolExecutor(
                    workers, mp_context=get_context("spawn"), initializer=start_worker, initargs=(workers,)
                )
            )
            results = pool.map(_stage, jobs)
        for done, result in enumerate(results, start=1):
            on_progress("read and de-identify", done, len(jobs))
            yield result


def _stage(job: _Job | Refused) -> Staged | Refused:
    if isinstance(job, Refused):
        return job
    partial = job.folder / f"{job.series.place.replace(' ', '-')}.partial"
    try:
        packed = pack_series(
            job.series.read(job.reader),
            partial,
            pseudonym=job.pseudonym,
            deidentifier=job.deidentifier,
            config=job.reader,
        )
        name = f"case-{packed.fingerprint[:16]}"
        case = Case(
            case=name,
            patient=job.pseudonym.patient,
            site=job.site,
            label=job.label,
            scanner=str(packed.scanner),
            kernel=packed.scanner.kernel,
            sha256=_sha256(partial),
        )
        metadata = describe_case(partial, case, job.reader)
    except CovidCTNetError as error:
        partial.unlink(missing_ok=True)
        return Refused(place=job.series.place, reason=_reason(error))
    path = job.folder / f"{job.series.place.replace(' ', '-')}.zip"
    os.replace(partial, path)
    notes = tuple(
        f"{keyword} holds a word that is not in the vocabulary, and was left out" for keyword in packed.dropped
    )
    return Staged(place=job.series.place, path=path, case=case, metadata=metadata, notes=notes)


def _reason(error: CovidCTNetError) -> str:
    return f"{type(error).__name__}: {error}"


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """What becomes of the staged series."""

    new: tuple[Staged, ...]
    there: tuple[Staged, ...]
    refused: tuple[Refused, ...]


def sort_staged(staged: Sequence[Staged], cohort: Cohort, removed: frozenset[str]) -> Sorted:
    """Tell new series from those that are in the cohort, and from those that contradict it.

    Args:
        staged: in the order in which they are to join.
        cohort: as it is.
        removed: patients who were taken out on request, and do not come back by the next export.
    """
    new: list[Staged] = []
    there: list[Staged] = []
    refused: list[Refused] = []
    cases = {case.case: case for case in cohort.cases}
    labels = {case.patient: case.label for case in cohort.cases}
    for item in staged:
        reason = _contradiction(item, cases, labels, removed)
        if reason:
            refused.append(Refused(place=item.place, reason=reason))
        elif item.case.case in cases:
            there.append(item)
        else:
            new.append(item)
            cases[item.case.case] = item.case
            labels[item.case.patient] = item.case.label
    return Sorted(new=tuple(new), there=tuple(there), refused=tuple(refused))


def _contradiction(item: Staged, cases: dict[str, Case], labels: dict[str, str], removed: frozenset[str]) -> str:
    case = item.case
    if case.patient in removed:
        return f"patient {case.patient} was removed from the cohort and stays out"
    known = cases.get(case.case)
    if known is not None and known.patient != case.patient:
        return f"its images are those of {known.case}, which is of another patient"
    if labels.get(case.patient, case.label) != case.label:
        return f"patient {case.patient} is {labels[case.patient]} in the cohort, not {case.label}; see `data relabel`"
    return ""


def join(cohort: Cohort, staged: Sequence[Staged]) -> Cohort:
    """Move staged zips into the cohort and add their rows; the last rename is what counts."""
    if not staged:
        return cohort
    cohort.path("x").parent.mkdir(parents=True, exist_ok=True)
    for item in staged:
        os.replace(item.path, cohort.path(item.case.case))
    grown = Cohort(folder=cohort.folder, cases=(*cohort.cases, *(item.case for item in staged)))
    grown.save()
    return grown


def remove_strays(cohort: Cohort) -> int:
    """Delete files of the cohort's folder that no row names: what a killed process left."""
    known = {cohort.path(case.case) for case in cohort.cases} | {cohort.truth_path(case.case) for case in cohort.cases}
    strays = [
        path
        for folder in ("cases", "truth")
        for path in (cohort.folder / folder).glob("*")
        if path.is_file() and path not in known
    ]
    strays += list(cohort.folder.glob("*.partial"))
    for path in strays:
        path.unlink()
    return len(strays)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
