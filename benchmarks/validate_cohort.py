"""Time and memory of describing and validating cohorts of 200 and 2,000 tiny cases.

Run as `python benchmarks/validate_cohort.py FOLDER`; each size runs in a process of its own.
"""

import hashlib
import json
import resource
import subprocess
import sys
import time
from pathlib import Path

from covidctnet.cohort import Case, Cohort
from covidctnet.config import Config
from covidctnet.labels import LABELS

SIZES = (200, 2000)


def make_cohort(folder: Path, count: int) -> Cohort:
    """Cases that differ in one number of their headers, so that each has a hash of its own."""
    from tests.helpers.series import crude_chest, make_files, zip_of

    (folder / "cases").mkdir(parents=True, exist_ok=True)
    hu, cases = crude_chest(slices=16), []
    for number in range(count):
        data = zip_of(make_files(hu, edit=lambda image, _, n=number: setattr(image, "KVP", str(100 + n % 3 * 20))))
        data += f"{number}".encode()
        name = f"case-{number:05d}"
        (folder / "cases" / f"{name}.zip").write_bytes(data)
        cases.append(
            Case(
                case=name, patient=f"p{number}", site="s", label=LABELS[number % 3], scanner="Siemens Test",
                kernel="B31s", sha256=hashlib.sha256(data).hexdigest(),
            )
        )  # fmt: skip
    cohort = Cohort(folder=folder, cases=tuple(cases))
    cohort.save()
    return cohort


def measure(folder: Path) -> dict[str, float]:
    """Seconds a case and peak memory of this process and of its largest worker, in MiB."""
    from covidctnet.scanner_metadata import describe_cohort
    from integrations.metadata_validation import validate_metadata

    cohort = Cohort.load(folder)
    begun = time.perf_counter()
    table = describe_cohort(cohort, Config(name="benchmark"), folder / "metadata.csv")
    described = time.perf_counter()
    validate_metadata(table, ledger=None, policy=None, output=folder / "validation")
    validated = time.perf_counter()
    count = len(cohort.cases)
    return {
        "cases": count,
        "describe_ms_a_case": 1000 * (described - begun) / count,
        "validate_ms_a_case": 1000 * (validated - described) / count,
        "peak_worker_mib": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    """Measure each size."""
    base = Path(sys.argv[1])
    if len(sys.argv) > 2:
        print(json.dumps(measure(base)))
        return
    for size in SIZES:
        make_cohort(base / str(size), size)
        subprocess.run([sys.executable, __file__, str(base / str(size)), "measure"], check=True)


if __name__ == "__main__":
    main()
