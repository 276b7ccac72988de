"""Cohort -> one table row a case: scanner, acquisition and Hounsfield values, as the reader sees them.

The table is what the validation of a data version looks at. It is made from the zips themselves, not from
`cohort.csv`, so that a case whose zip the reader refuses is seen before training meets it.
"""

import csv
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from covidctnet.cohort import Case, Cohort
from covidctnet.config import Config, ReaderConfig
from covidctnet.dicom.case_header import read_case_header
from covidctnet.dicom.read import read_study
from covidctnet.errors import CohortError, StudyError
from covidctnet.machine import usable_cores
from covidctnet.parallel import start_worker
from covidctnet.plausibility import check_chest
from covidctnet.progress import Progress, silent
from covidctnet.volume import Volume

_COARSE_MM = 4.0
_WAITING_PER_WORKER = 4


@dataclass(frozen=True, kw_only=True)
class CaseMetadata:
    """One row; empty strings and None stand for what the header does not hold or the reader refused.

    Attributes:
        case, patient, site, label: as in `cohort.csv`.
        brand, model, scanner, kernel, body_part: as the first image's header says.
        spacing_z_mm, spacing_y_mm, spacing_x_mm: distance of voxel centres.
        slice_thickness_mm: as the header says; may differ from the distance of the slices.
        slices, rows, columns: voxels along (z, y, x).
        extent_z_mm: scanned length from feet to head.
        kvp: peak tube voltage.
        hu_p01, hu_p50, hu_p999: quantiles of the Hounsfield values, on a grid of about 4 mm.
        air_share, soft_share: share of the values at most -800 HU, and within -150..250 HU.
        warnings: what the reader let pass, in words.
        refused: why the reader refuses the case, empty where it does not.
    """

    case: str
    patient: str
    site: str
    label: str
    brand: str = ""
    model: str = ""
    scanner: str = ""
    kernel: str = ""
    body_part: str = ""
    spacing_z_mm: float | None = None
    spacing_y_mm: float | None = None
    spacing_x_mm: float | None = None
    slice_thickness_mm: float | None = None
    slices: int | None = None
    rows: int | None = None
    columns: int | None = None
    extent_z_mm: float | None = None
    kvp: float | None = None
    hu_p01: float | None = None
    hu_p50: float | None = None
    hu_p999: float | None = None
    air_share: float | None = None
    soft_share: float | None = None
    warnings: str = ""
    refused: str = ""


COLUMNS = tuple(field.name for field in fields(CaseMetadata))


def describe_cohort(
    cohort: Cohort,
    config: Config,
    output: Path,
    *,
    cases: Sequence[str] | None = None,
    workers: int | None = None,
    on_progress: Progress = silent,
) -> Path:
    """Describe every case in a CSV table, in the order of the cohort.

    Cases are spread over processes; each is read once, and only its row is kept, so that time and memory a
    case do not grow with the cohort.

    Args:
        cohort: its zips are read by the reader that serving uses.
        config: of the reader.
        output: the table to write; it is complete or absent.
        cases: names of the cases to describe; all when None.
        workers: processes; all usable cores when None.
        on_progress: told of each finished case.

    Returns:
        `output`.

    Raises:
        CohortError: a named case is not in the cohort.
    """
    chosen = _choose(cohort, cases)
    workers = min(workers or usable_cores(), max(1, len(chosen)))
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=start_worker, initargs=(workers,)
    ) as pool:
        rows = _in_order(pool, workers, cohort, chosen, config.reader)
        return write_metadata(output, _counted(rows, len(chosen), on_progress))


def write_metadata(output: Path, rows: Iterable[CaseMetadata]) -> Path:
    """Write rows as they come into a table that is complete or absent."""
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(output.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(asdict(row))
    os.replace(partial, output)
    return output


def _counted(rows: Iterable[CaseMetadata], total: int, on_progress: Progress) -> Iterator[CaseMetadata]:
    for done, row in enumerate(rows, start=1):
        yield row
        on_progress("describe", done, total)


def _choose(cohort: Cohort, names: Sequence[str] | None) -> list[Case]:
    if names is None:
        return list(cohort.cases)
    known = {case.case: case for case in cohort.cases}
    absent = [name for name in names if name not in known]
    if absent:
        raise CohortError(f"{len(absent)} of {len(names)} cases are not in the cohort, {absent[0]} first")
    return [known[name] for name in names]


def _in_order(
    pool: ProcessPoolExecutor, workers: int, cohort: Cohort, cases: Iterable[Case], reader: ReaderConfig
) -> Iterator[CaseMetadata]:
    """Rows in the order of the cases, with few of them under way at a time."""
    waiting: deque[Future[CaseMetadata]] = deque()
    for case in cases:
        waiting.append(pool.submit(describe_case, cohort.path(case.case), case, reader))
        if len(waiting) == _WAITING_PER_WORKER * workers:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def describe_case(path: Path, case: Case, reader: ReaderConfig) -> CaseMetadata:
    """Read one case once and describe it; a refusal is part of the description."""
    row = CaseMetadata(case=case.case, patient=case.patient, site=case.site, label=case.label)
    try:
        volume = read_study(path, reader)
    except StudyError as error:
        return replace(row, refused=str(error))
    refused = ""
    try:
        volume = check_chest(volume, reader)
    except StudyError as error:
        refused = str(error)
    return _describe_volume(row, volume, _body_part(path), refused)


def _describe_volume(row: CaseMetadata, volume: Volume, body_part: str, refused: str) -> CaseMetadata:
    steps = tuple(max(1, round(_COARSE_MM / spacing)) for spacing in volume.spacing_mm)
    hu = volume.hu[:: steps[0], :: steps[1], :: steps[2]]
    low, middle, high = (round(float(value), 1) for value in np.percentile(hu, (1, 50, 99.9)))
    spacing = [round(value, 6) for value in volume.spacing_mm]
    return replace(
        row,
        brand=volume.scanner.brand,
        model=volume.scanner.model,
        scanner=str(volume.scanner),
        kernel=volume.scanner.kernel,
        body_part=body_part,
        spacing_z_mm=spacing[0],
        spacing_y_mm=spacing[1],
        spacing_x_mm=spacing[2],
        slice_thickness_mm=volume.scanner.slice_thickness_mm,
        slices=volume.hu.shape[0],
        rows=volume.hu.shape[1],
        columns=volume.hu.shape[2],
        extent_z_mm=round(volume.extent_mm[0], 3),
        kvp=volume.scanner.kvp,
        hu_p01=low,
        hu_p50=middle,
        hu_p999=high,
        air_share=round(float(np.mean(hu <= -800)), 4),
        soft_share=round(float(np.mean((hu > -150) & (hu < 250))), 4),
        warnings="; ".join(volume.warnings),
        refused=refused,
    )


def _body_part(path: Path) -> str:
    """BodyPartExamined (0018,0015) of the first image, which the Volume does not carry."""
    return str(read_case_header(path).get("BodyPartExamined") or "").strip()
