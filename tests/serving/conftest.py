"""One bundle, one pair of serving processes and three studies with their offline answers for all serving tests."""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from covidctnet.bundle import load_bundle, write_bundle
from covidctnet.predictor import NOT_JUDGED, Predictor
from covidctnet.reading import read_volume
from serving.tokens import hash_token
from tests.helpers.browser import Reader, browser_started, reading
from tests.helpers.components_run import ComponentsRun
from tests.helpers.series import crude_chest, make_files, zip_of
from tests.helpers.serving import Process, is_ready, lay_out_version, start_predictor, start_transformer, wait_for


@dataclass(frozen=True)
class Known:
    """A study, and what the Predictor says of it offline."""

    data: bytes
    files: list[bytes]
    answer: dict[str, Any]


@pytest.fixture(scope="session")
def served_bundle(components_run: ComponentsRun) -> Path:
    return components_run.path("evaluated")


def make_study(number: int) -> list[bytes]:
    """Series that get clearly different answers."""
    hu = crude_chest(20 + 2 * number).astype(np.int16)
    hu[4:-4, 26:36, 14:26] += np.int16(250 * number)
    return make_files(hu, series=str(number))


@pytest.fixture(scope="session")
def studies(served_bundle: Path) -> list[Known]:
    offline = Predictor.load(served_bundle)
    known = []
    for number in range(3):
        files = make_study(number)
        data = zip_of(files)
        answer = offline.predict(read_volume(data, offline.bundle.config.reader))
        known.append(Known(data, files, json.loads(answer.to_json())))
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


TOKEN = "a-long-random-token"
STRICT = """
admission: {workers: 1, queue: 0, request_seconds: 20}
upload:
  {max_body_bytes: 2000000, max_json_bytes: 1000000, max_expanded_bytes: 3000000, free_expansion_bytes: 1000000,
   max_files: 30, seconds: 2}
"""


@pytest.fixture(scope="session")
def strict(served_bundle: Path, predictor: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A transformer that asks for a token, with one worker, no queue and small limits."""
    folder = tmp_path_factory.mktemp("strict")
    (folder / "tokens").write_text(f"tests:{hash_token(TOKEN)}\n")
    (folder / "settings.yaml").write_text(STRICT)
    flags = (f"--tokens={folder / 'tokens'}", f"--settings={folder / 'settings.yaml'}")
    process = start_transformer(served_bundle, predictor.grpc, folder / "log", *flags)
    wait_for(lambda: is_ready(process))
    yield process
    assert process.stop() == 0


@pytest.fixture(scope="session")
def other_bundle(served_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same networks with another threshold: another pair."""
    folder = tmp_path_factory.mktemp("other")
    shutil.copytree(served_bundle, folder / "networks")
    for name in ("manifest.json", "metrics.json"):
        (folder / "networks" / name).unlink()
    bundle = load_bundle(served_bundle)
    other = write_bundle(
        folder / "bundle",
        networks=folder / "networks",
        config=bundle.config,
        calibration=dataclasses.replace(bundle.calibration, threshold=0.123),
        reference=bundle.reference,
        data_version=bundle.data_version,
        code_version=bundle.code_version,
    )
    assert other.serving_version != bundle.serving_version
    return other.folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with browser_started() as started:
        yield started


@pytest.fixture
def reader(browser: Any, server: Process) -> Iterator[Reader]:
    with reading(browser, server.http) as opened:
        yield opened
        assert opened.errors == []
        assert opened.violations() == []
        assert [address for address in opened.requests if not address.startswith((server.http, "data:", "blob:"))] == []
        assert opened.kept() == [0, 0, 0, 0, 0, 0]


@pytest.fixture(scope="module")
def phantom(components_run: ComponentsRun, served_bundle: Path) -> bytes:
    """A case that is judged, and has areas that are marked."""
    cohort, predictor = components_run.cohort, Predictor.load(served_bundle)
    for case in cohort.cases:
        answer = predictor.predict(read_volume(cohort.path(case.case)))
        if answer.label != NOT_JUDGED and answer.burden.foci:
            return cohort.path(case.case).read_bytes()
    raise AssertionError("no phantom of the smoke profile is judged and has a marked area")
