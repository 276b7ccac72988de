"""One bundle, one pair of serving processes and three studies with their offline answers for all serving tests."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covidctnet.config import load_profile
from covidctnet.experiment import run_demo
from tests.cli.test_commands import call
from tests.helpers.series import crude_chest, make_files, zip_of
from tests.helpers.serving import Process, is_ready, lay_out_version, start_predictor, start_transformer, wait_for


@dataclass(frozen=True)
class Known:
    """A study, and what `covidctnet predict` says of it."""

    data: bytes
    files: list[bytes]
    answer: dict[str, Any]


@pytest.fixture(scope="session")
def served_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("serving-demo")
    run_demo(load_profile("smoke"), output)
    return output / "bundle"


def make_study(number: int) -> list[bytes]:
    """Series that get clearly different answers."""
    hu = crude_chest(20 + 2 * number).astype(np.int16)
    hu[4:-4, 26:36, 14:26] += np.int16(250 * number)
    return make_files(hu, series=str(number))


@pytest.fixture(scope="session")
def studies(served_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Known]:
    folder = tmp_path_factory.mktemp("studies")
    known = []
    for number in range(3):
        files = make_study(number)
        path = folder / f"{number}.zip"
        path.write_bytes(zip_of(files))
        result = call("predict", path, "--bundle", served_bundle, "--json")
        assert result.returncode == 0, result.stderr
        known.append(Known(path.read_bytes(), files, json.loads(result.stdout)))
    assert len({json.dumps(study.answer["probabilities"]) for study in known}) == 3
    return known


@pytest.fixture(scope="session")
def predictor(served_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    folder = tmp_path_factory.mktemp("predictor")
    process = start_predictor(lay_out_version(folder / "models", served_bundle), folder / "log")
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="session")
def server(served_bundle: Path, predictor: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A transformer with its predictor; stopped by SIGTERM at the end, and without a trace of a study on disk."""
    folder = tmp_path_factory.mktemp("transformer")
    spool = folder / "spool"
    spool.mkdir()
    process = start_transformer(served_bundle, predictor.grpc, folder / "log", f"--spool={spool}")
    wait_for(lambda: is_ready(process))
    yield process
    assert process.stop() == 0
    assert list(spool.iterdir()) == []
