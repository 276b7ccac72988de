import hashlib
import os
import subprocess
import sys
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from covidctnet.config import PhantomConfig, load_profile
from covidctnet.labels import CAP, CONTROL, COVID
from covidctnet.phantom.cohort import make_phantom_cohort, plan_patients
from covidctnet.phantom.scanners import SCANNERS, site_of

TINY = PhantomConfig(controls=8, covid=2, cap=2, matrix=48, slice_spacing_mm=10.0)

MAKE = """
import sys
from pathlib import Path
import numpy as np
from covidctnet.config import PhantomConfig
from covidctnet.phantom.cohort import make_phantom_cohort
if __name__ == "__main__":
    features = np._core._multiarray_umath.__cpu_features__
    print(*[name for name in np._core._multiarray_umath.__cpu_dispatch__ if features[name]])
    config = PhantomConfig(controls=8, covid=2, cap=2, matrix=48, slice_spacing_mm=10.0)
    make_phantom_cohort(Path(sys.argv[1]), config, 5, workers=2)
"""


def hashes(folder: Path) -> dict[str, str]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    make_phantom_cohort(folder, TINY, 5, workers=1)
    return folder


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_class_is_independent_of_scanner_kernel_and_site(seed: int) -> None:
    config = load_profile("demo").phantom
    patients = plan_patients(config, seed)
    assert len(patients) == config.controls + config.covid + config.cap
    for what in (
        lambda p: p.scanner,
        lambda p: p.sharp,
        lambda p: (p.scanner, p.sharp),
        lambda p: site_of(p.scanner),
    ):
        shares = {}
        for label in (CONTROL, COVID, CAP):
            counts = Counter(what(patient) for patient in patients if patient.label == label)
            shares[label] = {key: Fraction(count, counts.total()) for key, count in counts.items()}
        assert shares[CONTROL] == shares[COVID] == shares[CAP]


def test_every_class_meets_every_scanner_and_kernel_equally_often() -> None:
    patients = plan_patients(PhantomConfig(controls=48, covid=24, cap=24), seed=1)
    for label, each in ((CONTROL, 2), (COVID, 1), (CAP, 1)):
        for scanner in range(len(SCANNERS)):
            for sharp in (False, True):
                met = [p for p in patients if (p.label, p.scanner, p.sharp) == (label, scanner, sharp)]
                assert len(met) == each


def test_pseudonyms_are_unique_and_tell_nothing() -> None:
    patients = plan_patients(PhantomConfig(controls=40, covid=40, cap=40), seed=3)
    assert len({patient.patient for patient in patients}) == len({patient.case for patient in patients}) == 120
    assert len({patient.seed for patient in patients}) == 120
    order = sorted(patients, key=lambda patient: patient.case)
    changes = sum(one.label != other.label for one, other in pairwise(order))
    assert changes > 50


def test_another_seed_gives_other_patients(tiny: Path, tmp_path: Path) -> None:
    make_phantom_cohort(tmp_path, PhantomConfig(controls=1, covid=0, cap=0, matrix=48, slice_spacing_mm=10.0), 6)
    assert not set(hashes(tmp_path).values()) & set(hashes(tiny).values())


def test_the_same_seed_gives_the_same_bytes_without_wide_vector_units_and_with_other_workers(
    tiny: Path, tmp_path: Path
) -> None:
    core = np._core._multiarray_umath  # type: ignore[attr-defined]
    wide = [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]
    if not wide:
        pytest.skip("this processor has no vector units that NumPy could leave out")
    script = tmp_path / "make.py"
    script.write_text(MAKE)
    made = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "plain")],
        env={
            **os.environ,
            "NPY_DISABLE_CPU_FEATURES": " ".join(wide),
            "PYTHONPATH": os.pathsep.join(sys.path),
            # The C library's functions have variants for wide vector units as well.
            "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX,-FMA,-FMA4,-AVX512F",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout.split() == []
    assert hashes(tmp_path / "plain") == hashes(tiny)
