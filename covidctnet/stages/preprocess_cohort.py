"""One shard of the cohort -> slices for the networks, and a record of each case."""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from covidctnet.cohort import Case, Cohort
from covidctnet.config import Config
from covidctnet.errors import CohortError, StudyError
from covidctnet.labels import CONTROL, LABELS
from covidctnet.lungs import mean_lung_hu, segment_lungs
from covidctnet.machine import usable_cores
from covidctnet.parallel import share_of_cores, start_worker
from covidctnet.phantom.truth import load_truth
from covidctnet.preprocess import preprocess, preprocess_mask, to_hounsfield
from covidctnet.progress import Progress, silent
from covidctnet.reading import read_volume
from covidctnet.splits import Ledger
from covidctnet.stages.prepared import PreparedCase, save_records
from covidctnet.training.pseudo_infection import find_lungs
from covidctnet.volume import BoolArray, UnitArray, Volume


@dataclass(frozen=True, kw_only=True)
class ShardFolders:
    """Where a shard's results go; each later step reads only what it needs.

    Attributes:
        slices: `<case>.npy` of training and validation, float32 (z, y, x), for the residuals.
        healthy: the same of Controls that train or watch the denoiser, with `.aerated.npy` and, for a warm
            start, `.lungs.npy`.
        records: `cases.json` of all cases, and `<case>.truth.npz` of held-out phantoms.
    """

    slices: Path
    healthy: Path
    records: Path

    def make(self) -> None:
        """Make the folders."""
        for folder in (self.slices, self.healthy, self.records):
            folder.mkdir(parents=True, exist_ok=True)


def shard_cases(cases: Sequence[Case], shard: int, shards: int) -> list[Case]:
    """The cases of one shard: every `shards`-th, so that scanners and classes spread evenly."""
    return list(cases)[shard::shards]


def count_shards(cases: int, cases_per_shard: int) -> int:
    """How many shards hold at most so many cases each; at least 1."""
    return max(1, -(-cases // cases_per_shard))


def preprocess_shard(
    cohort: Cohort,
    cases: Sequence[Case],
    ledger: Ledger,
    config: Config,
    folders: ShardFolders,
    *,
    workers: int | None = None,
    on_progress: Progress = silent,
) -> list[PreparedCase]:
    """Read, check and preprocess the cases of one shard, one after the other in each process.

    Args:
        cohort: its zips are read by the reader that serving uses.
        cases: of this shard.
        ledger: every patient's split.
        config: reader and preprocessing.
        folders: where the results go.
        workers: processes; all usable cores when None.
        on_progress: told of each finished case.

    Raises:
        CohortError: a case is refused by the reader; the message names the case and the reason.
    """
    folders.make()
    splits = ledger.splits()
    prepared: list[PreparedCase] = []
    workers = min(workers or usable_cores(), len(cases))
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_start_worker, initargs=(workers,)
    ) as pool:
        jobs = [pool.submit(_prepare, cohort, case, splits[case.patient], config, folders) for case in cases]
        try:
            for job in jobs:
                prepared.append(job.result())
                on_progress("preprocess", len(prepared), len(jobs))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    save_records(folders.records, prepared)
    return prepared


def _start_worker(workers: int) -> None:
    import SimpleITK as sitk  # noqa: N813

    start_worker(workers)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(share_of_cores())


def _prepare(cohort: Cohort, case: Case, split: str, config: Config, folders: ShardFolders) -> PreparedCase:
    try:
        volume = read_volume(cohort.path(case.case), config.reader)
    except StudyError as error:
        raise CohortError(f"case {case.case} is refused: {error}") from None
    slices = preprocess(volume, config.preprocess)
    truth = truth_on_slices(cohort, case, volume, config) if split in {"train", "holdout"} else None
    _save(case, split, slices, volume, truth, config, folders)
    healthy = slices[truth["lung"] & ~truth["infection"]] if truth else np.empty(0, np.float32)
    return PreparedCase(
        case=case,
        split=split,
        scanner=volume.scanner,
        spacing_mm=volume.spacing_mm,
        shape=(volume.hu.shape[0], volume.hu.shape[1], volume.hu.shape[2]),
        mean_lung_hu=mean_lung_hu(volume),
        phantom=cohort.truth_path(case.case).is_file(),
        healthy_lung=(float(healthy.sum(dtype=np.float64)), healthy.size),
    )


def truth_on_slices(cohort: Cohort, case: Case, volume: Volume, config: Config) -> dict[str, BoolArray] | None:
    """A phantom's `lung` and `infection` on the grid of its preprocessed slices; None where no truth is known."""
    path = cohort.truth_path(case.case)
    if not path.is_file():
        return None
    masks = load_truth(path)
    return {name: preprocess_mask(masks[name], volume.spacing_mm, config.preprocess) for name in ("lung", "infection")}


def _save(
    case: Case,
    split: str,
    slices: UnitArray,
    volume: Volume,
    truth: dict[str, BoolArray] | None,
    config: Config,
    folders: ShardFolders,
) -> None:
    if split in {"train", "validation"}:
        save_array(folders.slices / f"{case.case}.npy", slices)
    if split == "denoiser" or (split == "validation" and case.label == LABELS[CONTROL]):
        save_array(folders.healthy / f"{case.case}.npy", slices)
        save_array(folders.healthy / f"{case.case}.aerated.npy", find_lungs(slices, config.preprocess))
        if config.denoiser.warm_start_epochs:
            save_array(folders.healthy / f"{case.case}.lungs.npy", lungs_of_slices(slices, volume, config))
    if split == "holdout" and truth is not None:
        np.savez_compressed(folders.records / f"{case.case}.truth.npz", **truth)  # type: ignore[arg-type]


def lungs_of_slices(slices: UnitArray, volume: Volume, config: Config) -> BoolArray:
    """Both lungs with all that is inside them, without airways, on the grid of the slices."""
    extent = (count * step for count, step in zip(volume.hu.shape, volume.spacing_mm, strict=True))
    depth, height, width = (size / count for size, count in zip(extent, slices.shape, strict=True))
    hu = to_hounsfield(slices, config.preprocess)
    return segment_lungs(Volume(hu=hu, spacing_mm=(depth, height, width))) > 0


def save_array(path: Path, array: UnitArray | BoolArray) -> None:
    """Write an array; the file is complete or absent."""
    partial = path.with_suffix(".partial.npy")
    np.save(partial, array)
    os.replace(partial, path)
