"""A whole phantom cohort: one zip of DICOM images a case, the truth beside, `cohort.csv` above."""

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from covidctnet.cohort import Case, Cohort
from covidctnet.config import PhantomConfig
from covidctnet.labels import CAP, CONTROL, COVID, LABELS
from covidctnet.machine import usable_cores
from covidctnet.parallel import start_worker
from covidctnet.phantom.acquisition import ScannerModel, acquire
from covidctnet.phantom.anatomy import Anatomy, build_chest
from covidctnet.phantom.dicom_writer import SeriesHeader, write_series
from covidctnet.phantom.draws import uniform
from covidctnet.phantom.grid import Grid
from covidctnet.phantom.infections import infect
from covidctnet.phantom.scanners import SCANNERS, SMALLEST_MATRIX, WIDEST_SPACING_MM, site_of
from covidctnet.phantom.truth import save_truth
from covidctnet.progress import Progress, silent
from covidctnet.volume import Scanner


@dataclass(frozen=True, kw_only=True)
class PhantomPatient:
    """What is settled of a phantom before its anatomy is drawn."""

    case: str
    patient: str
    label: int
    scanner: int
    sharp: bool
    seed: int


def plan_patients(config: PhantomConfig, seed: int) -> list[PhantomPatient]:
    """Settle class, scanner, kernel and site of each patient.

    Every class meets every scanner, kernel and site equally often, so that none tells the class.
    Pseudonyms are hashes: a name does not tell the class either.
    """
    patients = []
    for label, count in ((CONTROL, config.controls), (COVID, config.covid), (CAP, config.cap)):
        for number in range(count):
            key = hashlib.sha256(f"{seed}/{label}/{number}".encode()).hexdigest()
            patients.append(
                PhantomPatient(
                    case=f"case-{key[:10]}",
                    patient=f"patient-{key[10:20]}",
                    label=label,
                    scanner=number % len(SCANNERS),
                    sharp=number // len(SCANNERS) % 2 == 1,
                    seed=int(key[20:32], 16),
                )
            )
    return patients


def make_phantom_cohort(
    folder: Path,
    config: PhantomConfig,
    seed: int,
    *,
    workers: int | None = None,
    on_progress: Progress = silent,
) -> Cohort:
    """Write a phantom cohort; the same configuration and seed give the same bytes.

    Args:
        folder: holds `cohort.csv`, `cases/` and `truth/` afterwards.
        config: how many patients a class, and the image matrix.
        seed: source of everything that varies.
        workers: processes; all usable cores when None.
        on_progress: told of each finished case.
    """
    patients = plan_patients(config, seed)
    folder.mkdir(parents=True, exist_ok=True)
    cohort = Cohort(folder=folder, cases=())
    workers = workers or usable_cores()
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=start_worker, initargs=(workers,)
    ) as pool:
        cases = []
        for case in pool.map(_make_case, patients, [folder] * len(patients), [config] * len(patients)):
            cases.append(case)
            on_progress("make phantoms", len(cases), len(patients))
    cohort = Cohort(folder=folder, cases=tuple(sorted(cases, key=lambda case: case.case)))
    cohort.save()
    return cohort


def _make_case(patient: PhantomPatient, folder: Path, config: PhantomConfig) -> Case:
    cohort = Cohort(folder=folder, cases=())
    scanner = SCANNERS[patient.scanner]
    rng = np.random.default_rng(patient.seed)
    anatomy = Anatomy.draw(rng)
    grid = _grid_for(anatomy, scanner, config, rng)
    disease = infect(build_chest(grid, anatomy, rng), grid, patient.label, rng)
    hu = acquire(disease.hu, grid, scanner, rng, sharp=patient.sharp)
    kernel = scanner.kernels[int(patient.sharp)]
    header = SeriesHeader(
        case=patient.case,
        patient=patient.patient,
        scanner=scanner,
        kernel=kernel,
        slice_thickness_mm=round(scanner.thickness_mm / scanner.spacing_mm * grid.slice_spacing_mm, 4),
    )
    path = cohort.path(patient.case)
    write_series(path, hu, grid, header)
    save_truth(cohort.truth_path(patient.case), lung=disease.lung, infection=disease.infection, finding=disease.finding)
    return Case(
        case=patient.case,
        patient=patient.patient,
        site=site_of(patient.scanner),
        label=LABELS[patient.label],
        scanner=_scanner_name(scanner),
        kernel=kernel,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )


def _scanner_name(scanner: ScannerModel) -> str:
    return str(Scanner(manufacturer=scanner.manufacturer, model=scanner.model))


def _grid_for(anatomy: Anatomy, scanner: ScannerModel, config: PhantomConfig, rng: np.random.Generator) -> Grid:
    field_of_view = 2 * anatomy.half_width * uniform(rng, *scanner.fields)
    below, above = uniform(rng, 8, 40), uniform(rng, 8, 30)
    # A profile coarsens all scanners alike: what sets them apart stays.
    matrix = 2 * round(config.matrix * scanner.matrix / SMALLEST_MATRIX / 2)
    step = round(config.slice_spacing_mm * scanner.spacing_mm / WIDEST_SPACING_MM, 4)
    return Grid(
        slices=int((anatomy.lung_height + below + above) / step) + 1,
        matrix=matrix,
        slice_spacing_mm=step,
        pixel_spacing_mm=round(field_of_view / matrix, 6),
        bottom_mm=round(-below, 3),
    )
