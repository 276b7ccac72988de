import json
import logging
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from covidctnet.config import load_profile
from covidctnet.errors import ConfigError, PrivateRecordError, TrackingDeniedError, TrackingError, TrackingOutageError
from integrations.tracking import TrackingSettings, close_run, flush_spool, open_run, track_step
from integrations.tracking_client import make_client
from integrations.tracking_runs import ATTEMPT, PARENT, STEP
from tests.helpers.gates import Gate


def runs(settings: TrackingSettings) -> list[Any]:
    client = make_client(settings)
    experiment = client.get_experiment_by_name(settings.experiment)
    assert experiment is not None
    return list(client.search_runs([experiment.experiment_id]))


def step_run(settings: TrackingSettings, step: str) -> Any:
    (run,) = [run for run in runs(settings) if run.data.tags.get(STEP) == step]
    return run


def test_a_step_is_a_child_of_its_pipeline_run_with_all_that_was_logged(
    settings: TrackingSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COVIDCTNET_IMAGE", "registry/covidctnet@sha256:abc")
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "roc.png").write_bytes(b"\x89PNG")
    with track_step("train denoiser", run_key="k1", settings=settings, lineage={"data_version": "d1"}) as tracker:
        tracker.log_params({"epochs": 3, "holdout_patients": 4})
        tracker.log_metrics({"auc": 0.75})
        tracker.log_history({"loss": [1.0, 0.5, 0.25]}, prefix="denoiser ")
        tracker.log_figures(tmp_path / "figures")
        tracker.log_config(load_profile("smoke"))
        tracker.log_dataset("cohort", "d" * 64, {"cases": 3, "classes": {"CAP": 1}})
    run, parent = step_run(settings, "train denoiser"), open_run("k1", settings=settings)
    client = make_client(settings)
    assert run.data.tags[PARENT] == parent
    assert run.info.status == "FINISHED"
    assert run.data.params["epochs"] == "3"
    assert run.data.params["config_digest"] == load_profile("smoke").digest
    assert run.data.metrics == {"auc": 0.75, "denoiser loss": 0.25}
    history = client.get_metric_history(run.info.run_id, "denoiser loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5), (2, 0.25)]
    assert run.data.tags["covidctnet.image"] == "registry/covidctnet@sha256:abc"
    assert run.data.tags["data_version"] == "d1"
    assert len(run.data.tags["mlflow.source.git.commit"]) >= 12
    (data,) = run.inputs.dataset_inputs
    assert json.loads(data.dataset.source) == {"version": "d" * 64}
    assert json.loads(data.dataset.profile) == {"cases": 3, "classes": {"CAP": 1}}
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"config.json", "figures"}
    assert [file.path for file in client.list_artifacts(run.info.run_id, "figures")] == ["figures/roc.png"]
    assert not Path(settings.spool).exists()


def test_steps_side_by_side_and_a_resumed_run_share_one_parent(settings: TrackingSettings) -> None:
    def run_step(number: int) -> None:
        with track_step(f"shard {number}", run_key="k2", settings=settings) as tracker:
            tracker.log_metrics({"cases": number})

    make_client(settings)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(run_step, range(4)))
    close_run("k2", settings=settings)
    run_step(4)
    found = runs(settings)
    parents = [run for run in found if PARENT not in run.data.tags]
    assert len(parents) == 1
    assert {run.data.tags[PARENT] for run in found if PARENT in run.data.tags} == {parents[0].info.run_id}
    assert len(found) == 6
    assert parents[0].info.status == "RUNNING"
    assert open_run("another", settings=settings) != parents[0].info.run_id


def test_the_run_is_closed_with_its_last_step_or_a_failed_one_and_opened_again(settings: TrackingSettings) -> None:
    def parent_status() -> str:
        (parent,) = [run for run in runs(settings) if PARENT not in run.data.tags]
        return str(parent.info.status)

    with pytest.raises(ValueError, match="no"), track_step("train", run_key="k6", settings=settings):
        raise ValueError("no")
    assert parent_status() == "FAILED"
    with track_step("train", run_key="k6", settings=settings):
        assert parent_status() == "RUNNING"
    assert parent_status() == "RUNNING"
    with track_step("gate", run_key="k6", settings=settings, last=True):
        pass
    assert parent_status() == "FINISHED"


def test_a_failed_step_is_marked_without_its_message(settings: TrackingSettings) -> None:
    with pytest.raises(ValueError, match="Doe"), track_step("validate", run_key="k3", settings=settings):
        raise ValueError("Doe^Jane in /data/ward")
    run = step_run(settings, "validate")
    assert run.info.status == "FAILED"
    assert run.data.tags["covidctnet.error"] == "ValueError"
    assert "Doe" not in json.dumps(run.to_dictionary())
    with track_step("validate", run_key="k3", settings=settings):
        pass
    states = {run.info.status for run in runs(settings) if run.data.tags.get(STEP) == "validate"}
    assert states == {"FAILED", "FINISHED"}


def test_a_step_that_was_killed_is_closed_when_it_runs_again(settings: TrackingSettings) -> None:
    left_open = track_step("train", run_key="k4", settings=settings)
    killed = left_open.__enter__().run_id
    with track_step("train", run_key="k4", settings=settings):
        pass
    assert make_client(settings).get_run(killed).info.status == "KILLED"


def test_system_metrics_are_sampled_beside_the_step(settings: TrackingSettings) -> None:
    with track_step("busy", run_key="k5", settings=replace(settings, system_metrics_seconds=0.1)):
        end = time.monotonic() + 30.0
        while not (metrics := step_run(settings, "busy").data.metrics) and time.monotonic() < end:
            time.sleep(0.1)
    assert metrics["system/system_memory_usage_megabytes"] > 0
    assert "system/cpu_utilization_percentage" in metrics


@pytest.mark.parametrize(
    "values", [{"patient": "p1"}, {"PatientName": "x"}, {"birth_date": 1}, {"note": "1.2.840.113619.2.55.3.604688119"}]
)
def test_an_identity_is_refused_and_not_quoted(settings: TrackingSettings, values: dict[str, Any]) -> None:
    with (
        pytest.raises(PrivateRecordError) as refusal,
        track_step("s", run_key="k6", settings=settings) as tracker,
    ):
        tracker.log_params(values)
    assert "840" not in str(refusal.value)
    assert step_run(settings, "s").data.params == {}


def test_an_artifact_with_an_identity_is_withheld_and_the_step_goes_on(
    settings: TrackingSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "out"
    (folder / "inner").mkdir(parents=True)
    (folder / "cohort.csv").write_text("case,patient\nc1,p1\n")
    (folder / "inner" / "report.html").write_text("<p>fine</p>")
    with track_step("s", run_key="k7", settings=settings) as tracker:
        tracker.log_artifacts(folder, "results")
    run, client = step_run(settings, "s"), make_client(settings)
    assert run.info.status == "FINISHED"
    assert [file.path for file in client.list_artifacts(run.info.run_id, "results")] == ["results/inner"]
    assert "names a patient" in run.data.tags["covidctnet.withheld"]
    assert "withheld" in caplog.text


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    with Gate.to_mlflow(tmp_path_factory.mktemp("server")) as gate:
        yield gate


@pytest.fixture
def remote(gate: Gate, settings: TrackingSettings) -> TrackingSettings:
    return replace(settings, uri=gate.uri, artifacts="", settle_seconds=0.1)


def test_logging_survives_a_server_that_is_away_for_less_than_the_limit(remote: TrackingSettings, gate: Gate) -> None:
    with track_step("train", run_key="k8", settings=replace(remote, retry_seconds=30.0)) as tracker:
        with gate.shut_for(1.5):
            tracker.log_metrics({"loss": 0.5})
        tracker.log_metrics({"loss": 0.25}, step=1)
    run = step_run(remote, "train")
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 0.25})
    assert len(make_client(remote).get_metric_history(run.info.run_id, "loss")) == 2
    assert not Path(remote.spool).exists()


def test_a_longer_outage_fills_a_spool_that_is_sent_later(
    remote: TrackingSettings, gate: Gate, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    report = tmp_path / "report.html"
    report.write_text("<p>trained</p>")
    short = replace(remote, retry_seconds=0.3)
    with (
        gate.shut(),
        pytest.raises(TrackingOutageError, match="did not answer"),
        track_step("x", run_key="k9", settings=short),
    ):
        pytest.fail("nothing is lost at the start, so the step does not begin")
    with gate.shut_later() as shut:
        with track_step("train", run_key="k9", settings=short) as tracker:
            tracker.log_params({"epochs": 2})
            shut()
            tracker.log_history({"loss": [0.5, 0.25]})
            tracker.log_dataset("cohort", "d1", {"cases": 3})
            tracker.log_artifact(report)
            report.unlink()
        with pytest.raises(TrackingOutageError):
            flush_spool(Path(remote.spool))
    assert f"covidctnet tracking flush {remote.spool}" in caplog.text
    assert step_run(remote, "train").info.status == "RUNNING"
    assert flush_spool(Path(remote.spool)) == 1
    run = step_run(remote, "train")
    assert run.info.run_id == tracker.run_id
    assert run.info.status == "FINISHED"
    assert run.data.metrics == {"loss": 0.25}
    assert run.inputs.dataset_inputs[0].dataset.digest == "d1"
    assert [file.path for file in make_client(remote).list_artifacts(run.info.run_id)] == ["report.html"]
    assert flush_spool(Path(remote.spool)) == 0


def test_a_refused_record_is_kept_alone(remote: TrackingSettings, caplog: pytest.LogCaptureFixture) -> None:
    with track_step("s", run_key="k10", settings=remote) as tracker:
        tracker.log_params({"epochs": 1})
        tracker.log_params({"epochs": 2})
        tracker.log_metrics({"loss": 0.5})
    run = step_run(remote, "s")
    assert (run.info.status, run.data.metrics, run.data.params["epochs"]) == ("FINISHED", {"loss": 0.5}, "1")
    with pytest.raises(TrackingError, match="refuses it"):
        flush_spool(Path(remote.spool))
    assert step_run(remote, "s").data.tags[ATTEMPT]


class _Guarded(BaseHTTPRequestHandler):
    """An address that wants credentials, as a reverse proxy before MLflow does."""

    def do_GET(self) -> None:
        self.send_response(401)
        self.send_header("WWW-Authenticate", "Basic")
        self.end_headers()
        self.wfile.write(b"who are you?")

    def log_message(self, format: str, *args: Any) -> None:
        logging.getLogger("test").debug(format, *args)


def test_wrong_credentials_name_the_address_and_no_secret(
    settings: TrackingSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "someone")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret-word")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Guarded) as server:
        threading.Thread(target=server.serve_forever).start()
        address = f"http://127.0.0.1:{server.server_port}"
        guarded = replace(settings, uri=address, retry_seconds=30.0)
        with pytest.raises(TrackingDeniedError) as refusal, track_step("s", run_key="k", settings=guarded):
            pass
        server.shutdown()
    assert address in str(refusal.value)
    assert "s3cret-word" not in str(refusal.value)
    assert "someone" not in str(refusal.value)


def test_settings_refuse_what_cannot_be_meant(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds a password") as refusal:
        TrackingSettings("postgresql://me:hidden@db/mlflow")
    assert "hidden" not in str(refusal.value)
    with pytest.raises(ConfigError, match="retry_seconds must lie between 0 and 3600, not -1"):
        TrackingSettings("http://mlflow", retry_seconds=-1)
    with pytest.raises(ConfigError, match="is empty"):
        TrackingSettings("")
    assert TrackingSettings.embedded(tmp_path).address == "sqlite:///mlflow.db"


def test_a_folder_that_is_no_spool_has_nothing_to_send(tmp_path: Path) -> None:
    assert flush_spool(tmp_path) == 0
