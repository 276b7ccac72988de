from pathlib import Path

import pytest

from covidctnet.cohort import Cohort
from covidctnet.config import PhantomConfig
from covidctnet.phantom.cohort import make_phantom_cohort
from covidctnet.phantom.scanners import SCANNERS


@pytest.fixture(scope="session")
def a_case_a_scanner(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """A cohort of one Control for each scanner model."""
    folder = tmp_path_factory.mktemp("cohort")
    config = PhantomConfig(controls=len(SCANNERS), covid=0, cap=0, matrix=64, slice_spacing_mm=10.0)
    return make_phantom_cohort(Path(folder), config, 7, workers=1)
