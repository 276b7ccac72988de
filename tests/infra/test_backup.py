"""Back up, wipe, restore: registry, promotion log, data version and the served answer are as they were."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest

from covidctnet.promotion.moves import promote
from covidctnet.promotion.signing import make_keys
from infra.local.access import Access
from infra.local.control import processes
from infra.local.postgres import postgres_is_installed
from infra.local.seaweed import s3_client
from infra.local.service import free_ports
from integrations.aliases import PromotionSettings, open_log
from integrations.aliases_mlflow import sync_aliases
from integrations.data_versions import add_version, materialise, push
from integrations.data_workspace import create_workspace
from integrations.registry import list_models, register_bundle
from integrations.tracking import TrackingSettings
from tests.covidctnet.promotion.test_moves import POLICY, write_decision
from tests.helpers.bundles import untrained_bundle
from tests.helpers.promotion import make_report
from tests.helpers.series import make_files, zip_of
from tests.helpers.serving import ZIP, wait_for
from tests.infra.test_local_stack import call, states
from tests.integrations.test_data_versions import write_cohort

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not postgres_is_installed(), reason="run infra/local/install-debian.sh"),
]

LOG, HEADS, DATA = "s3://promotion/log", "s3://promotion-heads/log", "s3://data/ct"


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can reach; nothing may run for its stack at the end."""
    folder = Path(tempfile.mkdtemp(prefix="covidctnet-backup-"))
    folder.chmod(0o711)
    yield folder
    call("down", folder / "stack")
    assert processes(folder / "stack") == []
    shutil.rmtree(folder)


@contextmanager
def reached(stack: Path) -> Iterator[Access]:
    """Addresses and credentials of a stack in the environment, as `client.env` gives them."""
    access = Access.in_folder(stack)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in access.client_environment().items():
            patch.setenv(name, value)
        yield access


def fill(access: Access, folder: Path, key: Path) -> str:
    """Two registered models, one of them promoted, and a data version in S3, whose name is given."""
    settings = _tracking(access, folder)
    bundles = [untrained_bundle(folder / f"bundle-{number}", seed=number) for number in range(2)]
    for bundle in bundles:
        register_bundle(bundle.folder, run_key=bundle.pair_id, settings=settings, sites=["s1"])
    for bucket in ("promotion", "promotion-heads", "data"):
        s3_client(access).create_bucket(Bucket=bucket)
    log = open_log(_promotion(key), writable=True)
    decision = write_decision(folder / "decision", make_report(bundles[1].pair_id), None)
    promote(log, decision, policy=POLICY, who="ada", why="first")
    sync_aliases(log, settings)
    workspace = create_workspace(folder / "workspace", remote=DATA, endpoint=access.s3_uri).folder
    write_cohort(workspace / "data", {name: zip_of(make_files(series=name)) for name in ("a", "b")})
    version = add_version(workspace, "two cases")
    push(workspace)
    return version


def _tracking(access: Access, folder: Path) -> TrackingSettings:
    return TrackingSettings(access.mlflow_uri, spool=str(folder / "spool"))


def _promotion(key: Path) -> PromotionSettings:
    return PromotionSettings(log=LOG, heads=HEADS, key=str(key))


def look(stack: Path, version: str, scratch: Path, key: Path) -> dict[str, Any]:
    """All that must survive: the registry, the checked log, the data and a served answer."""
    with reached(stack) as access:
        models = [asdict(model) for model in list_models(_tracking(access, scratch))]
        log = open_log(_promotion(key), writable=False)
        history = log.read()
        cohort = materialise(DATA, version, scratch / "data", endpoint=access.s3_uri)
        cohort.verify()
    wait_for(lambda: states(stack)["serving"]["state"] == "up", seconds=120)
    address = states(stack)["serving"]["address"]
    response = httpx.post(f"{address}/v1/studies", content=zip_of(make_files()), headers=ZIP, timeout=60)
    assert response.status_code == 200, response.text
    answer = response.json()
    for name in ("request_id", "timings"):
        answer.pop(name)
    return {
        "models": models,
        "lines": log.lines(),
        "interrupted": history.interrupted,
        "aliases": asdict(history.aliases),
        "cases": cohort.cases,
        "data": {path.name: path.read_bytes() for path in sorted((scratch / "data").rglob("*.zip"))},
        "answer": answer,
    }


def test_what_was_wiped_is_restored_to_the_byte(place: Path, tmp_path: Path) -> None:
    stack, backup, key = place / "stack", place / "backup", tmp_path / "keys" / "key.pem"
    make_keys(key)
    (port,) = free_ports(1)
    assert call("up", stack, "--port", port).returncode == 0
    with reached(stack) as access:
        version = fill(access, tmp_path, key)
    before = look(stack, version, tmp_path / "before", key)
    assert len(before["models"]) == 2
    assert before["aliases"]["champion"] == before["answer"]["pair_id"]
    made = call("backup", stack, backup)
    assert made.returncode == 0, made.stderr
    assert call("backup", stack, backup).returncode == 3

    # Not into a stack that holds something.
    refused = call("restore", stack, backup)
    assert (refused.returncode, "was just made" in refused.stderr) == (3, True)

    assert call("down", stack).returncode == 0
    shutil.rmtree(stack)
    assert call("up", stack, "--port", port).returncode == 0
    restored = call("restore", stack, backup)
    assert restored.returncode == 0, restored.stderr
    after = look(stack, version, tmp_path / "after", key)
    assert after == before

    # Work goes on: the log takes the next move, the registry the next alias.
    with reached(stack) as access:
        log = open_log(_promotion(key), writable=True)
        other = next(model for model in after["models"] if model["tags"]["pair_id"] != after["answer"]["pair_id"])
        reports = (make_report(other["tags"]["pair_id"]), make_report(after["aliases"]["champion"]))
        decision = write_decision(tmp_path / "next", *reports)
        promote(log, decision, policy=POLICY, who="ada", why="next")
        assert sync_aliases(log, _tracking(access, tmp_path)).champion == other["tags"]["pair_id"]


def test_a_damaged_backup_is_refused_before_anything_is_written(place: Path, tmp_path: Path) -> None:
    stack, backup = place / "stack", place / "backup"
    assert call("up", stack).returncode == 0
    access = Access.in_folder(stack)
    s3_client(access).put_object(Bucket="mlflow", Key="some/object", Body=b"content")
    assert call("backup", stack, backup).returncode == 0
    s3_client(access).delete_object(Bucket="mlflow", Key="some/object")
    (item,) = json.loads((backup / "backup.json").read_text())["objects"]
    damaged = backup / "objects" / item["sha256"]
    damaged.write_bytes(b"contents")
    result = call("restore", stack, backup)
    assert (result.returncode, "missing or was changed" in result.stderr) == (3, True)
    assert "Contents" not in s3_client(access).list_objects_v2(Bucket="mlflow")
    damaged.write_bytes(b"content")
    assert call("restore", stack, backup).returncode == 0
    assert s3_client(access).get_object(Bucket="mlflow", Key="some/object")["Body"].read() == b"content"
