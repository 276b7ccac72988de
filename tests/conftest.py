import os
from pathlib import Path

import pytest

from tests.helpers.components_run import ComponentsRun, run_components

SHARED_DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


_SHARED = "components_run"
"""The one fixture of many files that takes long: the tests that need it go to one worker, so that it runs once."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        shares = _SHARED in getattr(item, "fixturenames", ())
        item.add_marker(pytest.mark.xdist_group(_SHARED if shares else item.path.stem))
    if SHARED_DATA.is_dir():
        return
    skip = pytest.mark.skip(reason=f"the real CT series are not there: SHARED_DATA is {SHARED_DATA}")
    for item in items:
        if "real_data" in item.keywords:
            item.add_marker(skip)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    return SHARED_DATA


@pytest.fixture(scope="session")
def components_run(tmp_path_factory: pytest.TempPathFactory) -> ComponentsRun:
    """Every component, run once on the phantoms of the smoke profile; tests read and never change it."""
    return run_components(tmp_path_factory.mktemp("components"))
