"""SeaweedFS of the local stack: an S3 gateway with one identity."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from infra.local.access import USER, Access, write_secret
from infra.local.service import HOST, Service, find_program, listens

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BUCKET = "mlflow"
_INNER = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
    "s3.port.grpc",
)  # fmt: skip


def make_seaweed(folder: Path, access: Access) -> Service:
    """The server, whose data are in `folder/s3`."""
    data, identities = folder / "s3", folder / "s3.json"
    data.mkdir(exist_ok=True)
    identity = {
        "name": USER,
        "credentials": [{"accessKey": access.s3_key, "secretKey": access.s3_secret}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
    write_secret(identities, json.dumps({"identities": [identity]}))
    ports = [f"-{name}={port}" for name, port in zip(_INNER, access.inner_ports, strict=True)]
    options = {
        "dir": data,
        "ip": HOST,
        "ip.bind": HOST,
        "s3.port": access.s3_port,
        "s3.config": identities,
        # It reports usage to its makers unless told otherwise.
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        # As many as the disk holds: each bucket takes some of its own, and the usual eight are gone with the third.
        "volume.max": 0,
        "volume.preStopSeconds": 0,
        "s3.iam": "false",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
    }
    return Service(
        name="SeaweedFS",
        command=[
            find_program("weed", str(Path(sys.executable).parent)),
            "server",
            "-s3",
            *(f"-{name}={value}" for name, value in options.items()),
            *ports,
        ],
        log=folder / "seaweedfs.log",
        healthy=lambda: listens(access.s3_port) and _lists(access),
    )


def make_bucket(access: Access) -> None:
    """Make the bucket of MLflow's artifacts, where it is not there."""
    client = s3_client(access)
    if BUCKET not in {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}:
        client.create_bucket(Bucket=BUCKET)


def s3_client(access: Access) -> "S3Client":
    """A client with the stack's credentials."""
    import boto3

    return boto3.client(
        "s3",
        endpoint_url=access.s3_uri,
        aws_access_key_id=access.s3_key,
        aws_secret_access_key=access.s3_secret,
        region_name="us-east-1",
    )


def _lists(access: Access) -> bool:
    """Whether the gateway has reached the store behind it."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        s3_client(access).list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True
