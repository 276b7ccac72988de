"""The images, built once; and what marks every test here."""

import shutil
from pathlib import Path

import pytest

from tests.helpers.containers import ENGINE, build

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = pytest.mark.skip(reason="neither podman nor docker is installed")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.containers)
            item.add_marker(pytest.mark.slow)
            if shutil.which(ENGINE) is None:
                item.add_marker(missing)


@pytest.fixture(scope="session")
def pipeline_image() -> str:
    return build("pipeline")


@pytest.fixture(scope="session")
def transformer_image() -> str:
    return build("transformer")


@pytest.fixture(scope="session")
def predictor_image() -> str:
    return build("predictor-embedded")
