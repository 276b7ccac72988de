"""Cohort -> preprocessed slices and a description of each case."""

import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from covidctnet.cohort import Case, Cohort
from covidctnet.config import Config, PreprocessConfig
from covidctnet.errors import CohortError, StudyError
from covidctnet.labels import label_index
from covidctnet.lungs import mean_lung_hu, segment_lungs
from covidctnet.phantom.truth import load_truth
from covidctnet.preprocess import preprocess, preprocess_mask, to_hounsfield
from covidctnet.progress import Progress, silent
from covidctnet.reading import read_volume
from covidctnet.training.pseudo_infection import find_lungs
from covidctnet.volume import BoolArray, Scanner, UnitArray, Volume


@dataclass(frozen=True, kw_only=True)
class PreparedCase:
    """A case after preprocessing; the arrays stay on disk until they are asked for.

    Attributes:
        folder: holds `<case>.npy` and, for phantoms, `<case>.truth.npz`.
        case: row of the cohort.
        scanner: as the reader saw it.
        spacing_mm: along (z, y, x), before resampling.
        shape: voxels along (z, y, x), before resampling.
        mean_lung_hu: of the aerated lung.
    """

    folder: Path
    case: Case
    scanner: Scanner
    spacing_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    mean_lung_hu: float

    @property
    def label(self) -> int:
        """Class index."""
        return label_index(self.case.label)

    def slices(self) -> UnitArray:
        """Preprocessed slices, axes (z, y, x), 0 to 1."""
        array: UnitArray = np.load(self.folder / f"{self.case.case}.npy")
        return array

    def mapped_slices(self) -> UnitArray:
        """The same, left on disk until they are looked at."""
        array: UnitArray = np.load(self.folder / f"{self.case.case}.npy", mmap_mode="r")
        return array

    def mapped_aerated(self, config: PreprocessConfig) -> BoolArray:
        """Aerated lung in the slices, axes (z, y, x); found once and left on disk."""
        return self._mapped_mask("aerated", lambda: find_lungs(self.slices(), config))

    def mapped_lungs(self, config: PreprocessConfig) -> BoolArray:
        """Both lungs with all that is inside them, without airways; found once and left on disk."""

        def segment() -> BoolArray:
            slices = self.slices()
            extent = (count * step for count, step in zip(self.shape, self.spacing_mm, strict=True))
            depth, height, width = (size / count for size, count in zip(extent, slices.shape, strict=True))
            hu = to_hounsfield(slices, config)
            return segment_lungs(Volume(hu=hu, spacing_mm=(depth, height, width))) > 0

        return self._mapped_mask("lungs", segment)

    def _mapped_mask(self, name: str, make: Callable[[], BoolArray]) -> BoolArray:
        path = self.folder / f"{self.case.case}.{name}.npy"
        if not path.is_file():
            save_array(path, make())
        mask: BoolArray = np.load(path, mmap_mode="r")
        return mask

    def truth(self) -> dict[str, BoolArray] | None:
        """A phantom's `lung` and `infection` on the grid of the slices, None for real cases."""
        path = self.folder / f"{self.case.case}.truth.npz"
        if not path.is_file():
            return None
        with np.load(path) as file:
            return {name: file[name] for name in file.files}


def preprocess_cohort(
    cohort: Cohort,
    config: Config,
    folder: Path,
    *,
    version: str = "",
    workers: int | None = None,
    on_progress: Progress = silent,
) -> list[PreparedCase]:
    """Read, check and preprocess every case of a cohort.

    Args:
        cohort: its zips are read by the reader that serving uses.
        config: reader and preprocessing.
        folder: where the arrays go; those that are there of the same case, configuration and version stay.
        version: of the code.
        workers: processes; all usable cores when None.
        on_progress: told of each finished case.

    Raises:
        CohortError: a case is refused by the reader; the message names the case and the reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    workers = workers or len(os.sched_getaffinity(0))
    prepared: list[PreparedCase] = []
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        jobs = [pool.submit(_prepare, cohort, case, config, folder, version) for case in cohort.cases]
        try:
            for job in jobs:
                prepared.append(job.result())
                on_progress("preprocess", len(prepared), len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return prepared


def _one_thread() -> None:
    import SimpleITK as sitk  # noqa: N813

    # The cases are spread over processes; threads inside each would only get in each other's way.
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def _prepare(cohort: Cohort, case: Case, config: Config, folder: Path, version: str) -> PreparedCase:
    record = folder / f"{case.case}.json"
    key = json.dumps([case.sha256, asdict(config.reader), asdict(config.preprocess), version])
    found = _recall(record, key, case, folder)
    if found is not None:
        return found
    for old in folder.glob(f"{case.case}.*"):
        old.unlink()
    prepared = _compute(cohort, case, config, folder)
    # Written last: what it describes is complete.
    partial = record.with_suffix(".partial")
    described = {name: value for name, value in asdict(prepared).items() if name not in {"folder", "case"}}
    partial.write_text(json.dumps({"key": key, "case": described}), "utf-8")
    os.replace(partial, record)
    return prepared


def _recall(record: Path, key: str, case: Case, folder: Path) -> PreparedCase | None:
    if not record.is_file():
        return None
    content = json.loads(record.read_text("utf-8"))
    if content["key"] != key:
        return None
    values = content["case"]
    return PreparedCase(
        folder=folder,
        case=case,
        scanner=Scanner(**values["scanner"]),
        spacing_mm=tuple(values["spacing_mm"]),
        shape=tuple(values["shape"]),
        mean_lung_hu=values["mean_lung_hu"],
    )


def _compute(cohort: Cohort, case: Case, config: Config, folder: Path) -> PreparedCase:
    try:
        volume = read_volume(cohort.path(case.case), config.reader)
    except StudyError as error:
        raise CohortError(f"case {case.case} is refused: {error}") from None
    save_array(folder / f"{case.case}.npy", preprocess(volume, config.preprocess))
    truth_path = cohort.truth_path(case.case)
    if truth_path.is_file():
        masks = {
            name: preprocess_mask(mask, volume.spacing_mm, config.preprocess)
            for name, mask in load_truth(truth_path).items()
        }
        np.savez_compressed(folder / f"{case.case}.truth.npz", **masks)  # type: ignore[arg-type]
    return PreparedCase(
        folder=folder,
        case=case,
        scanner=volume.scanner,
        spacing_mm=volume.spacing_mm,
        shape=(volume.hu.shape[0], volume.hu.shape[1], volume.hu.shape[2]),
        mean_lung_hu=mean_lung_hu(volume),
    )


def save_array(path: Path, array: UnitArray | BoolArray) -> None:
    """Write an array; the file is complete or absent."""
    partial = path.with_suffix(".partial.npy")
    np.save(partial, array)
    os.replace(partial, path)
