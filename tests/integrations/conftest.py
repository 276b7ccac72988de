from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from covidctnet.bundle import Bundle
from integrations.tracking import TrackingSettings
from integrations.tracking_client import make_client
from tests.helpers.bundles import untrained_bundle

_NUMBERS = count()


@pytest.fixture(scope="session")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> TrackingSettings:
    """MLflow in a folder; its tables take seconds to make, so all tests share them."""
    settings = TrackingSettings.embedded(tmp_path_factory.mktemp("mlflow"))
    settings = replace(settings, retry_seconds=2.0, first_wait_seconds=0.05, system_metrics_seconds=0.0)
    make_client(settings)
    return settings


@pytest.fixture
def settings(embedded: TrackingSettings, tmp_path: Path) -> Iterator[TrackingSettings]:
    """An experiment, a registered model and a spool of the test's own."""
    number = next(_NUMBERS)
    return replace(embedded, experiment=f"experiment {number}", model=f"model{number}", spool=str(tmp_path / "spool"))


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return untrained_bundle(tmp_path_factory.mktemp("bundles") / "bundle")
