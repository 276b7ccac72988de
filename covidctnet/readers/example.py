"""A reader study to try: twenty phantoms and four simulated readers, from a seed."""

from dataclasses import replace
from pathlib import Path

from covidctnet.cohort import Cohort
from covidctnet.config import PhantomConfig
from covidctnet.phantom.cohort import make_phantom_cohort
from covidctnet.progress import Progress, silent
from covidctnet.readers.files import READERS_FILE
from covidctnet.readers.simulated import simulate_readers
from covidctnet.readers.table import save_readers

COUNTS = {"controls": 7, "covid": 7, "cap": 6}
"""Twenty cases as in the paper's reader test, whose own composition cannot be told."""

SEED = 2021
"""Not a seed that profiles train with: the same seed would draw the training's own phantoms."""


def make_reader_example(
    folder: Path,
    phantom: PhantomConfig,
    seed: int = SEED,
    *,
    workers: int | None = None,
    on_progress: Progress = silent,
) -> Cohort:
    """Write a phantom cohort and `readers.csv` beside it, every answer in it marked as simulated.

    Args:
        folder: holds both afterwards.
        phantom: matrix and slice spacing.
        seed: of phantoms and readers; another one than the bundle's.
        workers: processes; all usable cores when None.
        on_progress: told of each finished case.
    """
    cohort = make_phantom_cohort(folder, replace(phantom, **COUNTS), seed, workers=workers, on_progress=on_progress)
    save_readers(simulate_readers([(case.case, case.label) for case in cohort.cases], seed), folder / READERS_FILE)
    return cohort
