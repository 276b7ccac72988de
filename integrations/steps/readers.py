"""The step of a reader study: a bundle that is there already, and what people answered."""

from collections.abc import Mapping
from pathlib import Path

from integrations.steps.cohorts import open_cohort
from integrations.steps.context import open_step
from integrations.steps.experiment_results import track_result
from integrations.steps.experiments import require_bundle


def compare_readers(
    *, cohort: str, bundle: str, pair_id: str, readers: str, state: str, output: str, run: Mapping[str, str]
) -> None:
    """Compare a bundle with readers.

    Args:
        cohort: output of `fetch_dataset`.
        bundle: folder on the shared disk.
        pair_id: of the bundle, so that the cache sees which one it is.
        readers: CSV of the readers' answers on the shared disk.
        state: folder that outlives the step; a run that was killed goes on with the answers there.
        output: receives the result.
        run: see `RunContext`.

    Raises:
        BundleError: the folder holds no bundle, or another one.
        CohortError: answers and cases cannot be compared.
    """
    with open_step("compare readers", run) as step:
        from covidctnet.experiments.readers import run_readers
        from covidctnet.readers.table import load_readers

        run_readers(
            require_bundle(Path(bundle), pair_id).folder,
            open_cohort(Path(cohort)),
            load_readers(Path(readers)),
            Path(output),
            kept=Path(state) / "readers" / pair_id,
            data_version=step.run.data_version,
            on_progress=step.on_progress,
        )
        track_result(step, Path(output))
