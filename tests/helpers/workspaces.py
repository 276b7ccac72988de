"""A data workspace with the phantoms of the smoke profile, made once a session and linked for each test."""

from pathlib import Path

from covidctnet.config import Config, load_profile
from covidctnet.files import link_tree
from covidctnet.phantom.cohort import make_phantom_cohort
from pipelines.workspaces import adopt_cohort

SMOKE = load_profile("smoke")


def make_cohort(folder: Path, config: Config = SMOKE, seed: int = 0) -> Path:
    """The phantoms of a profile."""
    make_phantom_cohort(folder, config.phantom, seed)
    return folder


def make_workspace(folder: Path, cohort: Path) -> tuple[Path, str]:
    """A workspace of its own with a cohort, and the data version."""
    link_tree(cohort, folder.with_name(f"{folder.name}-cohort"))
    return folder, adopt_cohort(folder, folder.with_name(f"{folder.name}-cohort"))
