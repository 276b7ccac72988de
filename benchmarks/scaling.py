"""Do time a case and memory stay the same when a cohort grows?

`python -m benchmarks.scaling` prepares 100 and then 1,000 small phantoms and makes their residuals, each in a
process of its own, and prints seconds a case and peak memory. `--page docs/performance.md` keeps the table.
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
from covidctnet.splits import Assignment, Ledger
from covidctnet.stages.extract_residuals import extract_residuals
from covidctnet.stages.preprocess_cohort import ShardFolders, preprocess_shard

PROFILE = "smoke"


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


def all_train(cohort: Cohort) -> Ledger:
    """A ledger by which every case is kept and gets a residual."""
    rows = [
        Assignment(patient=case.patient, split="train", label=case.label, scanner=case.scanner, seed="0")
        for case in cohort.cases
    ]
    return Ledger(rows=tuple(rows))


def measure(small: Path, count: int, folder: Path) -> dict[str, Any]:
    """Prepare a cohort of so many cases and make its residuals; the first tenth of either is not timed."""
    # Here, for the workers import this module as well: their memory should be that of their work.
    from covidctnet.networks.denoiser import build_denoiser
    from covidctnet.networks.saving import load_denoiser, save_denoiser

    config = load_profile(PROFILE)
    cohort = enlarge(Cohort.load(small), count, folder / "cohort")
    save_denoiser(build_denoiser(config.denoiser, config.preprocess.slice_size), folder, config.residual)
    moments: dict[str, dict[int, float]] = {}

    def note(stage: str, done: int, total: int) -> None:
        moments.setdefault(stage, {})[done] = time.perf_counter()

    folders = ShardFolders(slices=folder / "slices", healthy=folder / "healthy", records=folder / "records")
    preprocess_shard(cohort, cohort.cases, all_train(cohort), config, folders, on_progress=note)
    denoiser = load_denoiser(folder, config.residual)
    extract_residuals(folders.slices, denoiser, config, folder / "residuals", on_progress=note)
    start = max(1, count // 10)
    seconds = {stage: (at[count] - at[start]) / (count - start) for stage, at in moments.items()}
    peaks = {
        "main": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
        "worker": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss,
    }
    return {"cases": count, "seconds": seconds, "peak_mib": {name: value / 1024 for name, value in peaks.items()}}


def to_markdown(results: list[dict[str, Any]]) -> str:
    """One row a cohort size."""
    lines = [
        "| cases | prepare, s a case | residual, s a case | peak memory, main process | peak memory, a worker |",
        "|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        seconds, peaks = result["seconds"], result["peak_mib"]
        lines.append(
            f"| {result['cases']:,} | {seconds['preprocess']:.4f} | {seconds['extract residuals']:.4f} "
            f"| {peaks['main']:.0f} MiB | {peaks['worker']:.0f} MiB |"
        )
    first, last = results[0], results[-1]
    time_growth = sum(last["seconds"].values()) / sum(first["seconds"].values()) - 1
    growth = {name: last["peak_mib"][name] / first["peak_mib"][name] - 1 for name in ("main", "worker")}
    lines += [
        "",
        f"From {first['cases']:,} to {last['cases']:,} cases: seconds a case {100 * time_growth:+.0f} % "
        f"(allowed 20 %), memory of the main process {100 * growth['main']:+.0f} % "
        f"and of a worker {100 * growth['worker']:+.0f} % (allowed 10 %).",
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure each size in a fresh process, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, nargs="+", default=[100, 1000])
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
