"""Drift of the inputs: the window, its limits, and what the server tells of it."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from covidctnet.bundle import Reference
from covidctnet.config import DriftConfig
from covidctnet.errors import ConfigError
from covidctnet.stability import OTHER, count_categories, fit_bins, population_stability_index
from serving.settings import TelemetrySettings, load_settings
from serving.telemetry.drift import SCANNERS, DriftWindow, worst
from serving.tokens import hash_token
from tests.helpers.serving import Process, is_ready, start_transformer, wait_for
from tests.serving.conftest import Known

NAME, TOKEN = "DOE^JANE", "a-long-random-token"
RNG = np.random.default_rng(3)
TRAINING = RNG.normal(0.3, 0.05, 300)
REFERENCE = Reference(
    scanners=("GE B", "Siemens A"),
    ranges={"mean intensity": (float(TRAINING.min()), float(TRAINING.max()))},
    distributions={"mean intensity": fit_bins(list(TRAINING), DriftConfig())},
    scanner_mix=count_categories(["Siemens A"] * 200 + ["GE B"] * 100),
)
SETTINGS = TelemetrySettings(drift_window=200, drift_minimum=50)


def window_of(values: Any, scanners: Any = ("Siemens A", "GE B", "Siemens A")) -> DriftWindow:
    window = DriftWindow(REFERENCE, SETTINGS)
    for number, value in enumerate(values):
        window.add({"mean intensity": float(value)}, scanners[number % len(scanners)])
    return window


def test_studies_like_those_of_training_do_not_drift() -> None:
    drifts = window_of(RNG.normal(0.3, 0.05, 200)).measure()
    assert drifts.keys() == {"mean intensity", SCANNERS}
    assert worst(drifts) == "none"
    assert all(drift.index < drift.by_chance for drift in drifts.values())


def test_a_shift_of_one_statistic_is_told_of_it_alone() -> None:
    drifts = window_of(RNG.normal(0.36, 0.05, 200)).measure()
    assert drifts["mean intensity"].level == "major"
    assert drifts["mean intensity"].index > 0.5
    assert drifts[SCANNERS].level == "none"


def test_a_narrower_distribution_drifts_without_leaving_the_training_range() -> None:
    window = window_of(RNG.normal(0.3, 0.01, 200))
    assert window.shares_outside() == {"mean intensity": 0.0}
    assert window.measure()["mean intensity"].level == "major"


def test_the_index_is_that_of_the_counts_in_the_bins() -> None:
    window = window_of([0.3] * 60, ["Siemens A"])
    drift = window.measure()[SCANNERS]
    assert (drift.expected, drift.recent) == ((100, 200, 0), (0, 60, 0))
    assert drift.index == population_stability_index((100, 200, 0), (0, 60, 0))


def test_an_unseen_scanner_is_counted_without_its_name() -> None:
    window = window_of(RNG.normal(0.3, 0.05, 100), [NAME])
    document = window.to_document()
    assert document["statistics"][SCANNERS]["level"] == "major"
    bins = {row["bin"]: row["recent"] for row in document["statistics"][SCANNERS]["bins"]}
    assert bins == {"GE B": 0.0, "Siemens A": 0.0, OTHER: 1.0}
    assert NAME not in json.dumps(document) + repr(vars(window))


def test_nothing_is_told_of_too_few_studies() -> None:
    window = window_of([0.9] * 49)
    document = window.to_document()
    assert (document["status"], document["studies"], document["drift"]) == ("not enough studies", 49, None)
    assert document["statistics"] == {}
    assert document["share_outside_of_training"] == {}
    window.add({"mean intensity": 0.9}, "Siemens A")
    document = window.to_document()
    assert (document["status"], document["drift"]) == ("enough studies", "major")
    assert document["share_outside_of_training"] == {"mean intensity": 1.0}


def test_few_studies_of_one_distribution_are_left_to_chance() -> None:
    settings = TelemetrySettings(drift_window=100, drift_minimum=10)
    indices = []
    for seed in range(20):
        window = DriftWindow(REFERENCE, settings)
        for value in np.random.default_rng(seed).normal(0.3, 0.05, 10):
            window.add({"mean intensity": float(value)}, "Siemens A" if value < 0.32 else "GE B")
        drift = window.measure()["mean intensity"]
        indices.append(drift.index)
        assert drift.level == "none"
    assert np.median(indices) > settings.drift_major, "without the bound, chance would look like drift"


def test_the_window_forgets_the_oldest_studies() -> None:
    window = window_of([*([0.9] * 200), *RNG.normal(0.3, 0.05, 200)])
    assert window.studies == SETTINGS.drift_window
    assert window.measure()["mean intensity"].level == "none"


def test_a_bundle_without_distributions_says_so() -> None:
    window = DriftWindow(Reference(scanners=("GE B",), ranges={"mean intensity": (0.2, 0.4)}), SETTINGS)
    for _ in range(60):
        window.add({"mean intensity": 0.5}, "GE B")
    document = window.to_document()
    assert (document["status"], document["drift"]) == ("the bundle keeps no distributions", None)
    assert document["share_outside_of_training"] == {"mean intensity": 1.0}


def test_the_document_shows_every_bin_with_its_shares() -> None:
    row = window_of(RNG.normal(0.3, 0.05, 100)).to_document()["statistics"]["mean intensity"]
    assert row["training_studies"] == 300
    assert [bound for bin_ in row["bins"] for bound in bin_["bin"]][:1] == [None]
    assert row["bins"][-1]["bin"][1] is None
    for side in ("training", "recent"):
        assert sum(bin_[side] for bin_ in row["bins"]) == pytest.approx(1.0)


def test_threads_may_add_and_measure_at_once() -> None:
    window = window_of([0.3] * 60)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(200):
                window.add({"mean intensity": 0.3}, "GE B")
                window.to_document()
        except BaseException as error:  # noqa: BLE001 - a thread's failure would else go unseen
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert window.studies == SETTINGS.drift_window


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{drift_window: 20, drift_minimum: 30}", r"drift_minimum \(30\) must be <= drift_window \(20\)"),
        ("{drift_moderate: 0.3}", r"drift_moderate \(0\.3\) must be < drift_major \(0\.25\)"),
        ("{drift_confidence: 1.0}", "drift_confidence: .*less than 1, not 1.0"),
        ("{drift_minimum: 1}", "drift_minimum: .*greater than or equal to 10, not 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text(f"telemetry: {text}")
    with pytest.raises(ConfigError, match=message):
        load_settings(path)


@pytest.fixture(scope="module")
def watched(served_bundle: Path, predictor: Process, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Process]:
    """A transformer that asks for a token and tells drift from ten studies on."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "tokens").write_text(f"tests:{hash_token(TOKEN)}\n")
    (folder / "settings.yaml").write_text("telemetry: {drift_window: 20, drift_minimum: 10, drift_confidence: 0.6}")
    flags = (f"--tokens={folder / 'tokens'}", f"--settings={folder / 'settings.yaml'}")
    process = start_transformer(served_bundle, predictor.grpc, folder / "log", *flags)
    wait_for(lambda: is_ready(process))
    yield process
    assert process.stop() == 0


ACCESS = {"authorization": f"Bearer {TOKEN}"}


def get(server: Process, path: str) -> httpx.Response:
    return httpx.get(f"{server.http}{path}", headers=ACCESS, timeout=30)


def gauges(server: Process, name: str) -> dict[str, float]:
    found = re.findall(rf'^{name}\{{statistic="([^"]+)"\}} (\S+)$', get(server, "/metrics").text, re.MULTILINE)
    return {statistic: float(value) for statistic, value in found}


def test_a_server_tells_drift_to_who_may_ask_once_enough_studies_came(watched: Process, studies: list[Known]) -> None:
    assert httpx.get(f"{watched.http}/v1/drift").status_code == 401
    document = get(watched, "/v1/drift").json()
    assert (document["status"], document["studies"], document["drift"]) == ("not enough studies", 0, None)
    assert gauges(watched, "covidctnet_drift_index") == {}
    for number in range(20):
        data = studies[number % len(studies)].data
        headers = ACCESS | {"content-type": "application/zip"}
        response = httpx.post(f"{watched.http}/v1/studies", content=data, headers=headers, timeout=60)
        assert response.status_code == 200, response.text
    document = get(watched, "/v1/drift").json()
    assert (document["status"], document["studies"]) == ("enough studies", 20)
    mix = document["statistics"][SCANNERS]
    assert mix["bins"][-1] == {"bin": OTHER, "training": 0.0, "recent": 1.0}
    assert {"slice spacing mm", "pixel spacing mm", "HU quantile 0.5", "mean absolute residual"} <= set(
        document["statistics"]
    )
    for statistic, row in document["statistics"].items():
        assert gauges(watched, "covidctnet_drift_index")[statistic] == pytest.approx(row["index"])
        assert gauges(watched, "covidctnet_drift_by_chance")[statistic] == pytest.approx(row["by_chance"])
    assert gauges(watched, "covidctnet_drift_outside") == pytest.approx(document["share_outside_of_training"])
    told = {line["statistic"]: line["level"] for line in watched.logs() if line["event"] == "drift"}
    levels = {name: row["level"] for name, row in document["statistics"].items()}
    assert {name: told.get(name, "none") for name in levels} == levels
    assert document["drift"] == "major"
    assert told[SCANNERS] == "major"
