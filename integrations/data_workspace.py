"""A data workspace: a folder with `data/` under DVC, `data.dvc`, and what may change only one at a time."""

import fcntl
import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from covidctnet.cohort import Cohort
from covidctnet.errors import CovidCTNetError, DataStoreError

Repo = Any
"""`dvc.repo.Repo`, which carries no types."""

REMOTE = "store"
_CONNECT_S, _READ_S = 10, 60


@dataclass(frozen=True)
class Workspace:
    """A folder that holds `data/`, `data.dvc`, `versions/` and `.dvc/`."""

    folder: Path

    @property
    def data(self) -> Path:
        """The cohort under version control."""
        return self.folder / "data"

    @property
    def pointer(self) -> Path:
        """The file that names the version of `data/`."""
        return self.folder / "data.dvc"

    @property
    def versions(self) -> Path:
        """Log of all versions, with the table of each."""
        return self.folder / "versions"

    @property
    def staging(self) -> Path:
        """Where incoming series wait; on the file system of `data/`."""
        return self.folder / ".incoming"

    def cohort(self) -> Cohort:
        """The cohort as it lies in `data/`; an empty one where none is."""
        if (self.data / "cohort.csv").is_file():
            return Cohort.load(self.data)
        return Cohort(folder=self.data, cases=())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other change out until the block ends; the lock ends with its process.

        Raises:
            DataStoreError: another process is changing the data.
        """
        with (self.folder / ".data-lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataStoreError("another command is changing this data; wait until it is done") from None
            yield


def open_workspace(folder: Path) -> Workspace:
    """A workspace that is there.

    Raises:
        DataStoreError: the folder is none.
    """
    if not (folder / ".dvc").is_dir():
        raise DataStoreError("the folder is no data workspace; make one with `covidctnet data init`")
    return Workspace(folder)


def create_workspace(folder: Path, *, remote: str = "", endpoint: str = "") -> Workspace:
    """Make a folder a workspace, or change the remote of one that is there.

    Args:
        folder: in git, where it is the top of a repository; without git elsewhere.
        remote: where versions are pushed to: a folder or `s3://bucket/prefix`; `store/` in the workspace's
            `.dvc` when empty and none is set.
        endpoint: address of an S3 server that is not Amazon's. Credentials come from the environment.

    Raises:
        DataStoreError: the remote is neither a folder nor an S3 address.
    """
    if "://" in remote and not remote.startswith("s3://"):
        raise DataStoreError("a remote is a folder or an address s3://bucket/prefix")
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".dvc").is_dir():
        with store_errors("make the workspace"):
            _repo_class().init(str(folder), no_scm=not (folder / ".git").exists()).close()
    workspace = Workspace(folder)
    with open_repo(workspace) as repo, repo.config.edit() as config:
        # Nothing about a hospital's data goes to anybody.
        config["core"].update(analytics="false", check_update="false", autostage="false", remote=REMOTE)
        config["cache"].update(type="reflink,hardlink,copy")
        if remote or REMOTE not in config["remote"]:
            config["remote"][REMOTE] = remote_settings(remote or str((folder / ".dvc" / "store").resolve()), endpoint)
    return workspace


def remote_settings(url: str, endpoint: str) -> dict[str, Any]:
    """Settings of a DVC remote."""
    settings: dict[str, Any] = {"url": url if "://" in url else str(Path(url).resolve())}
    if url.startswith("s3://"):
        settings |= {"connect_timeout": _CONNECT_S, "read_timeout": _READ_S}
        if endpoint:
            settings["endpointurl"] = endpoint
    return settings


@contextmanager
def open_repo(workspace: Workspace) -> Iterator[Repo]:
    """DVC's view of a workspace."""
    with warnings.catch_warnings():
        # DVC's libraries warn each other of what they will drop.
        warnings.simplefilter("ignore")
        repo = _repo_class()(str(workspace.folder))
        try:
            yield repo
        finally:
            repo.close()


def _repo_class() -> Any:
    os.environ["DVC_NO_ANALYTICS"] = "1"
    from dvc.repo import Repo as DVCRepo

    # It tells of every file by its path, and draws its own bars.
    logging.getLogger("dvc").setLevel(logging.CRITICAL)
    logging.getLogger("dvc_data").setLevel(logging.CRITICAL)
    logging.getLogger("dvc_objects").setLevel(logging.CRITICAL)
    return DVCRepo


@contextmanager
def store_errors(action: str) -> Iterator[None]:
    """Turn what DVC and S3 raise into one line that says what failed and what to do.

    Raises:
        DataStoreError: anything of DVC, S3 or the network went wrong inside the block.
    """
    try:
        yield
    except CovidCTNetError:
        raise
    except Exception as error:  # noqa: BLE001 - DVC, fsspec and botocore share no base class
        raise DataStoreError(f"cannot {action}: {_explain(error)}") from None


_CAUSES = (
    (("NoCredentialsError", "PartialCredentialsError"),
     "no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    (("InvalidAccessKeyId", "SignatureDoesNotMatch", "AccessDenied", "Forbidden", "PermissionError", "403"),
     "the credentials are not accepted; check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"),
    (("NoSuchBucket", "bucket does not exist"), "there is no such bucket; make it first"),
    (("ConnectionError", "EndpointConnectionError", "ConnectTimeout", "ReadTimeout", "ConnectionClosed", "Connection",
      "Timeout"), "the server does not answer; start it or check its address, then run this again"),
    (("UploadError", "DownloadError"), "the connection broke; what arrived is kept, run this again"),
    (("CheckoutError", "FileMissingError"),
     "some files are neither here nor in the remote; pull them from where they are"),
    (("LockError",), "another DVC command works on this data; wait until it is done"),
)  # fmt: skip


def _explain(error: BaseException) -> str:
    seen: BaseException | None = error
    chain: list[str] = []
    while seen is not None and len(chain) < 10:
        chain.append(f"{type(seen).__name__} {seen}")
        seen = seen.__cause__ or seen.__context__
    text = "\n".join(chain)
    for marks, words in _CAUSES:
        if any(mark in text for mark in marks):
            return words
    return f"{type(error).__name__}"
