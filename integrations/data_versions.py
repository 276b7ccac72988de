"""Versions of a workspace's data with DVC: add, name, check out, push, pull, status."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from covidctnet.cohort import Cohort
from covidctnet.errors import CohortError, DataStoreError
from covidctnet.ingest import remove_strays
from integrations.data_history import record_version
from integrations.data_workspace import (
    REMOTE,
    Repo,
    Workspace,
    create_workspace,
    open_repo,
    open_workspace,
    remote_settings,
    store_errors,
)


@dataclass(frozen=True, kw_only=True)
class DataStatus:
    """Where the data stands.

    Attributes:
        version: DVC md5 that `data.dvc` names, empty where there is none yet.
        changed: whether `data/` differs from it.
        unpushed: how many objects of it the remote lacks, None where the remote cannot be asked.
        remote_error: why it cannot be asked.
    """

    version: str
    changed: bool
    unpushed: int | None
    remote_error: str = ""


def version_of(workspace: Path) -> str:
    """The DVC md5 of `data/` that `data.dvc` names, with its ending ".dir".

    Raises:
        DataStoreError: the folder is no workspace or holds no version.
    """
    pointer = Workspace(workspace).pointer
    if not pointer.is_file():
        raise DataStoreError("the workspace holds no data version yet; ingest series or make phantoms first")
    try:
        return str(yaml.safe_load(pointer.read_text("utf-8"))["outs"][0]["md5"])
    except (yaml.YAMLError, KeyError, IndexError, TypeError):
        raise DataStoreError("data.dvc is damaged; bring it back from git or versions/") from None


def add_version(workspace: Path, message: str) -> str:
    """Put `data/` as it is under version control and write the version into the log.

    Args:
        workspace: its folder.
        message: why, for the log; never about a patient.

    Returns:
        The DVC md5 of `data/`; the same content gives the same one.

    Raises:
        CohortError: `data/` holds no cohort, or a zip is missing or was changed.
        DataStoreError: DVC refuses.
    """
    place = open_workspace(workspace)
    cohort = Cohort.load(place.data)
    remove_strays(cohort)
    missing = [case.case for case in cohort.cases if not cohort.path(case.case).is_file()]
    if missing:
        raise CohortError(f"{len(missing)} of {len(cohort.cases)} cases have no zip, {missing[0]} first")
    with store_errors("add the data version"), open_repo(place) as repo:
        repo.add(str(place.data))
    version = version_of(workspace)
    record_version(place, version, cohort, message)
    return version


def materialise(source: Path | str, version: str, target: Path, *, endpoint: str = "") -> Cohort:
    """Check out the data of a version into a folder of its own.

    Args:
        source: a workspace's folder, or the address of a remote: `s3://bucket/prefix`.
        version: DVC md5, with its ending ".dir".
        target: is made; it is complete or absent.
        endpoint: address of an S3 server that is not Amazon's, for an address.

    Raises:
        DataStoreError: the target is there and not empty, or the version is neither in the workspace nor in
            its remote.
        CohortError: what was checked out is no cohort.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataStoreError("the folder to check out into is not empty; name a new one")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".checkout-", dir=target.parent))
    try:
        # A repository of its own: the workspace's data and pointer stay as they are.
        place = create_workspace(scratch)
        with open_repo(place) as repo, repo.config.edit() as config:
            _borrow_store(config, source, endpoint)
        place.pointer.write_text(
            yaml.safe_dump({"outs": [{"md5": version, "hash": "md5", "path": place.data.name}]}), "utf-8"
        )
        with store_errors("check out the data version"), open_repo(place) as repo:
            repo.pull()
        cohort = Cohort.load(place.data)
        if target.exists():
            target.rmdir()
        os.replace(place.data, target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return Cohort(folder=target, cases=cohort.cases)


def _borrow_store(config: Any, source: Path | str, endpoint: str) -> None:
    if isinstance(source, str) and "://" in source:
        config["remote"][REMOTE] = remote_settings(source, endpoint)
        return
    workspace = open_workspace(Path(source))
    with open_repo(workspace) as repo:
        config["cache"]["dir"] = str(Path(repo.cache.local.path).parents[1])
        name = repo.config["core"].get("remote")
        if name:
            config["remote"][REMOTE] = dict(repo.config["remote"][name])
    # A hard link would let a change of the copy reach the workspace's cache.
    config["cache"]["type"] = "reflink,copy"


def push(workspace: Path) -> int:
    """Send what the remote lacks of the present version; a rerun goes on where a broken one stopped.

    Returns:
        How many objects were sent.

    Raises:
        DataStoreError: the remote does not answer, refuses the credentials, or lacks an object afterwards.
    """
    place = open_workspace(workspace)
    version_of(workspace)
    with store_errors("push"), open_repo(place) as repo:
        _ask_remote(repo)
        sent = int(repo.push())
        missing = _unpushed(repo, place)
    if missing:
        raise DataStoreError(f"cannot push: the remote lacks {missing} objects of this version; run this again")
    return sent


def pull(workspace: Path) -> int:
    """Fetch the version that `data.dvc` names and check it out.

    Returns:
        How many objects were fetched.

    Raises:
        DataStoreError: `data/` holds changes that are in no version, or the remote lacks an object.
    """
    place = open_workspace(workspace)
    version_of(workspace)
    with store_errors("pull"), open_repo(place) as repo:
        if place.data.exists() and _is_changed(repo):
            raise DataStoreError("data/ holds changes that are in no version; add them, or put data/ aside")
        fetched = repo.pull()
    Cohort.load(place.data)
    return int(fetched.get("fetched", 0)) if isinstance(fetched, dict) else 0


def status(workspace: Path) -> DataStatus:
    """What differs between `data/`, its version and the remote."""
    place = open_workspace(workspace)
    if not place.pointer.is_file():
        return DataStatus(version="", changed=place.data.exists(), unpushed=None, remote_error="there is no version")
    version = version_of(workspace)
    with store_errors("look at the data"), open_repo(place) as repo:
        changed = _is_changed(repo)
        try:
            with store_errors("ask the remote"):
                _ask_remote(repo)
                return DataStatus(version=version, changed=changed, unpushed=_unpushed(repo, place))
        except DataStoreError as error:
            return DataStatus(version=version, changed=changed, unpushed=None, remote_error=str(error))


def is_changed(workspace: Path) -> bool:
    """Whether `data/` differs from the version that `data.dvc` names; the remote is not asked."""
    with store_errors("look at the data"), open_repo(open_workspace(workspace)) as repo:
        return _is_changed(repo)


def _is_changed(repo: Repo) -> bool:
    return bool(repo.status())


def _ask_remote(repo: Repo) -> None:
    """Ask once for something, so that a refusal has one clear cause and not one a file."""
    odb = repo.cloud.get_remote_odb()
    if odb.fs.protocol == "local":
        return
    bucket = odb.path.split("/", 1)[0]
    odb.fs.fs.invalidate_cache()
    odb.fs.fs.ls(bucket, refresh=True)


def _unpushed(repo: Repo, place: Workspace) -> int:
    """How many objects of the present version the remote lacks, asked of the remote itself."""
    remote = repo.cloud.get_remote_odb()
    version = version_of(place.folder)
    wanted = {version, *(oid for _, oid in _objects(repo, version))}
    if hasattr(remote.fs, "fs"):
        invalidate = getattr(remote.fs.fs, "invalidate_cache", None)
        if invalidate is not None:
            invalidate()
    return sum(not remote.fs.exists(remote.oid_to_path(oid)) for oid in sorted(wanted))


def _objects(repo: Repo, version: str) -> list[tuple[str, str]]:
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    tree = Tree.load(repo.cache.local, HashInfo("md5", version))
    return [("/".join(key), str(info.value)) for key, _, info in tree]
