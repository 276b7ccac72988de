"""Back up a running stack, and bring the backup into an empty one: MLflow's database, and every object of every bucket.

```
BACKUP/
  backup.json       buckets, keys, sizes and hashes of all that was copied
  database.dump     PostgreSQL's custom format
  objects/SHA256    contents of the objects, each once
```

The database first, then the objects: MLflow writes an artifact before it records it and never changes one, so whatever
the copied database names is there. No alias is moved meanwhile: log and signed heads are objects as well.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from covidctnet.files import read_json, write_json
from infra.local.access import DATABASE, USER, Access
from infra.local.postgres import find_postgres_program
from infra.local.seaweed import s3_client
from infra.local.service import HOST, StackError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_MANIFEST, _DUMP, _OBJECTS = "backup.json", "database.dump", "objects"
_FORMAT = 1
_CHUNK = 1 << 20
_USED = "SELECT (SELECT count(*) FROM runs) + (SELECT count(*) FROM registered_models)"


@dataclass(frozen=True, kw_only=True)
class Copied:
    """How much a backup holds."""

    buckets: int
    objects: int
    bytes: int


def back_up(access: Access, target: Path) -> Copied:
    """Copy database and objects of a running stack.

    Args:
        access: of the stack.
        target: a folder that is not there yet; it is complete or absent.

    Raises:
        StackError: the folder is there, or the stack does not answer.
    """
    if target.exists():
        raise StackError("the backup's folder is there already; name a new one")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        _postgres(access, "pg_dump", "--format=custom", f"--file={partial / _DUMP}", DATABASE)
        (partial / _OBJECTS).mkdir()
        client = s3_client(access)
        buckets = sorted(str(bucket["Name"]) for bucket in client.list_buckets()["Buckets"])
        objects = [
            _fetch(client, bucket, key, partial / _OBJECTS) for bucket in buckets for key in _keys(client, bucket)
        ]
        manifest = {"format": _FORMAT, "database": _sha256(partial / _DUMP), "buckets": buckets, "objects": objects}
        write_json(partial / _MANIFEST, manifest)
        partial.rename(target)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return _count(manifest)


def restore(access: Access, source: Path) -> Copied:
    """Bring a backup into a running stack that holds nothing yet, and check every object again.

    Raises:
        StackError: the backup is damaged or of another format, or the stack holds runs, models or objects.
    """
    manifest = _read(source)
    client = s3_client(access)
    there = [str(bucket["Name"]) for bucket in client.list_buckets()["Buckets"]]
    if any(True for bucket in there for _ in _keys(client, bucket)) or int(_ask(access, _USED)):
        raise StackError("the stack holds runs, models or objects; restore into one that was just made")
    for bucket in set(manifest["buckets"]) - set(there):
        client.create_bucket(Bucket=bucket)
    for item in manifest["objects"]:
        client.upload_file(str(source / _OBJECTS / item["sha256"]), item["bucket"], item["key"])
    # All or nothing, over the empty tables that MLflow has made.
    _postgres(
        access, "pg_restore", "--clean", "--if-exists", "--no-owner", "--single-transaction", f"--dbname={DATABASE}",
        str(source / _DUMP),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as scratch:
        for item in manifest["objects"]:
            if _fetch(client, item["bucket"], item["key"], Path(scratch)) != item:
                raise StackError(f"an object of bucket {item['bucket']} came back changed; restore into a new stack")
            (Path(scratch) / item["sha256"]).unlink()
    return _count(manifest)


def _read(source: Path) -> dict[str, Any]:
    """The manifest of a backup whose files are all there and unchanged."""
    if not (source / _MANIFEST).is_file():
        raise StackError(f"the folder is no backup: it holds no {_MANIFEST}")
    manifest: dict[str, Any] = read_json(source / _MANIFEST)
    if manifest.get("format") != _FORMAT:
        raise StackError(f"backup format {manifest.get('format')!r} is not {_FORMAT}; use a matching release")
    wanted = {source / _DUMP: manifest["database"]}
    wanted |= {source / _OBJECTS / item["sha256"]: item["sha256"] for item in manifest["objects"]}
    for path, digest in wanted.items():
        if not path.is_file() or _sha256(path) != digest:
            raise StackError(f"{path.name[:16]} of the backup is missing or was changed; use another backup")
    return manifest


def _keys(client: "S3Client", bucket: str) -> Iterator[str]:
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for item in page.get("Contents", ()):
            # A folder's own entry, which SeaweedFS shows, is no object.
            if not item["Key"].endswith("/"):
                yield item["Key"]


def _fetch(client: "S3Client", bucket: str, key: str, folder: Path) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
        client.download_fileobj(bucket, key, file)
    digest = _sha256(Path(file.name))
    os.replace(file.name, folder / digest)
    return {"bucket": bucket, "key": key, "sha256": digest, "bytes": (folder / digest).stat().st_size}


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _count(manifest: dict[str, Any]) -> Copied:
    objects = manifest["objects"]
    return Copied(buckets=len(manifest["buckets"]), objects=len(objects), bytes=sum(item["bytes"] for item in objects))


def _ask(access: Access, query: str) -> str:
    return _postgres(access, "psql", "--no-psqlrc", "--tuples-only", "--no-align", f"--command={query}", DATABASE)


def _postgres(access: Access, program: str, *arguments: str) -> str:
    command = [
        find_postgres_program(program), f"--host={HOST}", f"--port={access.postgres_port}", f"--username={USER}",
        "--no-password", *arguments,
    ]  # fmt: skip
    environment = {**os.environ, "PGPASSWORD": access.postgres_password}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise StackError(f"{program} failed; is the stack up? {result.stderr.strip()[-300:]}")
    return result.stdout
