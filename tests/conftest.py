import os
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from tests.helpers.components_run import ComponentsRun, run_components

SHARED_DATA = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))


# How long an example takes says nothing on a machine that does other things as well.
hypothesis.settings.register_profile("house", deadline=None)
hypothesis.settings.load_profile("house")

_SHARING = (
    "tests/benchmarks/test_serving.py",
    "tests/cli/test_commands.py",
    "tests/components/",
    "tests/covidctnet/stages/test_trained_bundle.py",
    "tests/infra/serving/test_agreement.py",
    "tests/serving/",
)
"""Tests that need `components_run`: one worker gets them all, so that it is made once."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadScopeScheduling

    class ByFile(LoadScopeScheduling):  # type: ignore[misc]
        """Deals whole files to the workers, for the fixtures that a file shares."""

        def _split_scope(self, nodeid: str) -> str:
            return "shared" if nodeid.startswith(_SHARING) else nodeid.split("::")[0]

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
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
