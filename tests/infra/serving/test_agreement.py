"""What the manifests say is what the code does: flags, ports, paths, limits and times."""

import json
import os
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import httpx
import pytest

from covidctnet.bundle import load_bundle, serving_version
from serving.predictor.__main__ import main as predictor_main
from serving.settings import ServingSettings, load_settings
from serving.tokens import hash_token, is_loopback
from serving.transformer.__main__ import _parse
from serving.transformer.edge import OPEN_PATHS
from tests.covidctnet.test_bundle import bundle_in
from tests.helpers.components_run import ComponentsRun
from tests.helpers.serving import post, start, wait_for
from tests.infra.serving.conftest import Rendered
from tests.infra.serving.test_safety import size

MODELS = "/mnt/models"
"""Where KServe's storage initializer puts what a storage URI names."""

TOKEN = "a-long-random-token"

SERVER = """#!/bin/sh
for flag in "$@"; do echo "$flag"; done
"""


@pytest.fixture
def flags(rendered: Rendered, monkeypatch: pytest.MonkeyPatch) -> Namespace:
    """The transformer's arguments, read by its own parser."""
    (container,) = rendered.transformer["containers"]
    assert container["command"] == ["python", "-m", "serving.transformer"]
    monkeypatch.setattr(sys, "argv", ["serving.transformer", *container["args"]])
    return _parse()


@pytest.fixture
def settings(rendered: Rendered, tmp_path: Path) -> ServingSettings:
    path = tmp_path / "settings.yaml"
    path.write_text(rendered.settings)
    return load_settings(path)


def test_the_transformer_listens_where_its_ports_and_probes_are(rendered: Rendered, flags: Namespace) -> None:
    (container,) = rendered.transformer["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"http": flags.http_port, "grpc": flags.grpc_port}
    assert next(iter(ports)) == "http", "KServe routes to the first port"
    assert flags.host == "0.0.0.0"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] == flags.http_port
        assert container[probe]["httpGet"]["path"] in OPEN_PATHS, "the kubelet has no token"
    assert container["readinessProbe"]["httpGet"]["path"] == "/v2/health/ready"
    assert container["livenessProbe"]["httpGet"]["path"] == "/v2/health/live"


def test_the_transformer_asks_for_tokens_and_finds_its_files(rendered: Rendered, flags: Namespace) -> None:
    (container,) = rendered.transformer["containers"]
    assert not is_loopback(flags.host)
    assert flags.no_auth is False
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in rendered.transformer["volumes"]}
    assert "secret" in volumes[mounts[str(flags.tokens.parent)]]
    settings = volumes[mounts[str(flags.settings.parent)]]["configMap"]["name"]
    assert settings == rendered.one("ConfigMap")["metadata"]["name"]
    assert flags.settings.name in rendered.one("ConfigMap")["data"]
    assert "emptyDir" in volumes[mounts[str(flags.spool)]]


def test_both_halves_fetch_one_immutable_bundle(rendered: Rendered, flags: Namespace) -> None:
    (container,) = rendered.transformer["containers"]
    (uri,) = (variable["value"] for variable in container["env"] if variable["name"] == "STORAGE_URI")
    assert uri == rendered.predictor["model"]["storageUri"]
    serving_version(uri.rpartition("/")[2])
    assert str(flags.bundle) == MODELS


def test_the_transformer_asks_the_predictor_under_its_name_and_port(rendered: Rendered, flags: Namespace) -> None:
    service, runtime = rendered.one("InferenceService"), rendered.one("ServingRuntime")
    (container,) = runtime["spec"]["containers"]
    host, _, port = flags.predictor_host.partition(":")
    assert host == f"{service['metadata']['name']}-predictor"
    assert {"name": "grpc", "containerPort": int(port), "protocol": "TCP"} in container["ports"]
    assert f"--port={port} " in container["args"][0]
    assert f"--model_name={flags.model_name} " in container["args"][0]
    assert service["spec"]["predictor"]["model"]["runtime"] == runtime["metadata"]["name"]
    assert service["spec"]["predictor"]["model"]["protocolVersion"] in runtime["spec"]["protocolVersions"]
    assert container["livenessProbe"]["tcpSocket"]["port"] == int(port)
    assert container["readinessProbe"]["httpGet"] == {"path": f"/v1/models/{flags.model_name}", "port": 8501}


def run_runtime(rendered: Rendered, models: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run the runtime's command with its folders elsewhere, and a server that tells its flags."""
    (container,) = rendered.one("ServingRuntime")["spec"]["containers"]
    script = container["args"][0].replace(MODELS, str(models)).replace("/models/covidctnet", f"{folder}/versions")
    server = folder / "bin" / "tensorflow_model_server"
    server.parent.mkdir(exist_ok=True)
    server.write_text(SERVER)
    server.chmod(0o755)
    environment = {"PATH": f"{server.parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run([*container["command"], script], capture_output=True, text=True, check=False, env=environment)


def test_the_runtime_serves_the_bundle_s_classifier_under_the_version_of_its_pair(
    rendered: Rendered, tmp_path: Path
) -> None:
    bundle, versions = bundle_in(tmp_path), tmp_path / "versions"
    run_runtime(rendered, bundle.folder, tmp_path)
    # A container that starts again in its pod finds what the first one left.
    result = run_runtime(rendered, bundle.folder, tmp_path)
    assert result.returncode == 0, result.stderr
    assert [path.name for path in versions.iterdir()] == [str(bundle.serving_version)]
    assert (versions / str(bundle.serving_version) / "saved_model.pb").read_bytes() == b"graph"
    assert f"--model_base_path={versions}" in result.stdout.split()


def test_the_embedded_predictor_takes_the_flags_of_the_runtime(
    rendered: Rendered, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["serving.predictor", "--help"])
    with pytest.raises(SystemExit):
        predictor_main()
    known = capsys.readouterr().out
    (container,) = rendered.one("ServingRuntime")["spec"]["containers"]
    for flag in ("--model_name", "--model_base_path", "--port"):
        assert flag in known
        assert f"{flag}=" in container["args"][0]


def test_the_runtime_refuses_a_bundle_without_a_version(rendered: Rendered, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "manifest.json").write_text(json.dumps({"pair_id": "0" * 16}, indent=2))
    result = run_runtime(rendered, tmp_path / "old", tmp_path)
    assert result.returncode == 1
    assert "names no serving_version" in result.stderr
    assert result.stdout == ""


def test_times_and_sizes_hold_what_the_settings_allow(rendered: Rendered, settings: ServingSettings) -> None:
    pod = rendered.transformer
    (container,) = pod["containers"]
    pause = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] >= pause + settings.admission.drain_seconds + 10
    assert pod["timeout"] > settings.admission.request_seconds
    assert "containerConcurrency" not in pod, "KServe would add --workers, which the transformer does not have"
    upload = settings.upload
    (spool,) = (volume for volume in pod["volumes"] if volume["name"] == "spool")
    # The body as it came, and the study that a codec takes out of it.
    assert size(spool["emptyDir"]["sizeLimit"]) >= 2 * upload.max_uploads * upload.max_body_bytes
    # The volume and its copy in float32 for each worker, every gRPC message, and one JSON body while it is decoded.
    admission, memory = settings.admission, size(container["resources"]["limits"]["memory"])
    volumes = admission.workers * 2 * 4 * upload.max_voxels
    messages = (admission.workers + admission.queue) * upload.max_grpc_bytes + 4 * upload.max_json_bytes
    assert memory >= 1.2 * (volumes + messages)


@pytest.mark.slow
def test_the_rendered_command_lines_answer_for_a_study(
    rendered: Rendered, components_run: ComponentsRun, tmp_path: Path
) -> None:
    bundle, spool = components_run.path("evaluated"), tmp_path / "spool"
    spool.mkdir()
    (tmp_path / "tokens").write_text(f"tests:{hash_token(TOKEN)}\n")
    (tmp_path / "settings.yaml").write_text(rendered.settings)
    given = run_runtime(rendered, bundle, tmp_path).stdout.split()
    known = [flag for flag in given if flag.startswith(("--model_name=", "--model_base_path="))]
    predictor = start(tmp_path / "predictor.log", "serving.predictor", *known, "--port=0")
    here = {
        "--bundle": bundle, "--predictor_host": predictor.grpc, "--http_port": 0, "--grpc_port": 0,
        "--tokens": tmp_path / "tokens", "--settings": tmp_path / "settings.yaml", "--spool": spool,
    }  # fmt: skip
    (container,) = rendered.transformer["containers"]
    pairs = [flag.split("=", 1) for flag in container["args"]]
    flags = [f"{name}={here.get(name, value)}" for name, value in pairs]
    transformer = start(tmp_path / "transformer.log", container["command"][2], *flags)
    try:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            url = transformer.http + container[probe]["httpGet"]["path"]
            wait_for(lambda url=url: httpx.get(url, timeout=10).status_code == 200)  # type: ignore[misc]
        study = components_run.cohort.path(components_run.cohort.cases[0].case).read_bytes()
        assert post(transformer, study).status_code == 401
        answer = post(transformer, study, headers={"authorization": f"Bearer {TOKEN}"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["pair_id"] == load_bundle(bundle).pair_id
    finally:
        assert transformer.stop() == 0
        assert predictor.stop() == 0
