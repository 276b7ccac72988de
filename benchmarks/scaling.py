"""Do time a case and memory stay the same when a cohort grows?

`python -m benchmarks.scaling` takes cohorts of 100, 200, 1,000 and 2,000 small phantoms through the description and
validation of their metadata, preprocessing and residuals, each in a process of its own, and prints seconds a case and
peak memory. `--page docs/performance.md` keeps the table.
"""

import argparse
import hashlib
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.table import put_into_page
from covidctnet.cohort import Case, Cohort
from covidctnet.config import load_profile
from covidctnet.phantom.cohort import make_phantom_cohort
from covidctnet.scanner_metadata import describe_cohort
from covidctnet.splits import Assignment, Ledger
from covidctnet.stages.extract_residuals import extract_residuals
from covidctnet.stages.preprocess_cohort import ShardFolders, count_shards, preprocess_shard, shard_cases

PROFILE = "smoke"
CASES_PER_SHARD = 50
STAGES = ("describe", "validate", "preprocess", "extract residuals")
ALLOWED_SECONDS, ALLOWED_MEMORY = 0.20, 0.10


def enlarge(cohort: Cohort, count: int, folder: Path) -> Cohort:
    """A cohort of so many cases: the zips of a small one over and over, each told apart by its comment."""
    (folder / "cases").mkdir(parents=True)
    cases: list[Case] = []
    for number in range(count):
        model = cohort.cases[number % len(cohort.cases)]
        case = replace(model, case=f"case-{number:05d}", patient=f"patient-{number:05d}")
        target = folder / "cases" / f"{case.case}.zip"
        shutil.copyfile(cohort.path(model.case), target)
        with zipfile.ZipFile(target, "a") as archive:
            archive.comment = case.case.encode()
        cases.append(replace(case, sha256=hashlib.sha256(target.read_bytes()).hexdigest()))
    return Cohort(folder=folder, cases=tuple(cases))


def measure(small: Path, count: int, folder: Path) -> dict[str, Any]:
    """Validate a cohort of so many cases, prepare it and make its residuals, shard by shard as the pipeline does."""
    # Here, for the workers import this module as well: their memory should be that of their work.
    from covidctnet.networks.denoiser import build_denoiser
    from covidctnet.networks.saving import load_denoiser, save_denoiser
    from integrations.metadata_validation import validate_metadata

    config = load_profile(PROFILE)
    cohort = enlarge(Cohort.load(small), count, folder / "cohort")
    save_denoiser(build_denoiser(config.denoiser, config.preprocess.slice_size), folder, config.residual)
    denoiser = load_denoiser(folder, config.residual)
    ledger = Ledger(rows=tuple(_for_training(case) for case in cohort.cases))
    shards, seconds = count_shards(count, CASES_PER_SHARD), dict.fromkeys(STAGES, 0.0)
    started = time.perf_counter()
    table = describe_cohort(cohort, config, folder / "metadata.csv")
    described = time.perf_counter()
    validate_metadata(table, ledger=None, policy=None, output=folder / "validation")
    seconds["describe"] = (described - started) / count
    seconds["validate"] = (time.perf_counter() - described) / count
    for shard in range(shards):
        place = folder / str(shard)
        folders = ShardFolders(slices=place / "slices", healthy=place / "healthy", records=place / "records")
        cases = shard_cases(cohort.cases, shard, shards)
        started = time.perf_counter()
        preprocess_shard(cohort, cases, ledger, config, folders)
        prepared = time.perf_counter()
        extract_residuals(folders.slices, denoiser, config, place / "residuals")
        seconds["preprocess"] += (prepared - started) / count
        seconds["extract residuals"] += (time.perf_counter() - prepared) / count
    peaks = {
        "main": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    }
    return {"cases": count, "seconds": seconds, "peak_mib": {name: value / 1024 for name, value in peaks.items()}}


def _for_training(case: Case) -> Assignment:
    return Assignment(patient=case.patient, split="train", label=case.label, scanner=case.scanner, seed="0")


def to_markdown(results: list[dict[str, Any]]) -> str:
    """One row a cohort size, and the growth between sizes of which one is ten times the other."""
    lines = [
        f"| cases | {' | '.join(f'{stage}, s a case' for stage in STAGES)} | memory, main process | memory, a worker |",
        f"|{'---:|' * (len(STAGES) + 3)}",
    ]
    for result in results:
        seconds, peaks = result["seconds"], result["peak_mib"]
        cells = [f"{result['cases']:,}", *(f"{seconds[stage]:.4f}" for stage in STAGES)]
        cells += [f"{peaks[name]:.0f} MiB" for name in ("main", "worker")]
        lines.append(f"| {' | '.join(cells)} |")
    pairs = [(first, last) for first in results for last in results if last["cases"] == 10 * first["cases"]]
    return "\n".join([*lines, "", *(_growth(first, last) for first, last in pairs)])


def _growth(first: dict[str, Any], last: dict[str, Any]) -> str:
    seconds = sum(last["seconds"].values()) / sum(first["seconds"].values()) - 1
    main, worker = (last["peak_mib"][name] / first["peak_mib"][name] - 1 for name in ("main", "worker"))
    return (
        f"- From {first['cases']:,} to {last['cases']:,} cases: seconds a case {100 * seconds:+.0f} % "
        f"(allowed +{100 * ALLOWED_SECONDS:.0f} %), memory of the main process {100 * main:+.0f} % "
        f"and of a worker {100 * worker:+.0f} % (allowed +{100 * ALLOWED_MEMORY:.0f} %)."
    )


def main() -> None:
    """Measure each size in a fresh process, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[100, 200, 1000, 2000])
    parser.add_argument("--page", type=Path, help="put the table into this page")
    parser.add_argument("--one", nargs=2, type=Path, metavar=("COHORT", "FOLDER"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one[0], arguments.cases[0], arguments.one[1])))
        return
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        make_phantom_cohort(Path(scratch) / "small", load_profile(PROFILE).phantom, 0)
        for count in arguments.cases:
            folder = Path(scratch) / str(count)
            folder.mkdir()
            command = [sys.executable, "-m", "benchmarks.scaling", "--cases", str(count), "--one"]
            command += [str(Path(scratch) / "small"), str(folder)]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            results.append(json.loads(answer.stdout.splitlines()[-1]))
            shutil.rmtree(folder)
    text = to_markdown(results)
    print(text)
    if arguments.page:
        put_into_page(arguments.page, "scaling", text)


if __name__ == "__main__":
    main()
