"""Ports and credentials of a local stack."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field
from pathlib import Path

from covidctnet.telemetry import SWITCHES
from infra.local.service import HOST, free_ports

DATABASE = "mlflow"
USER = "covidctnet"


@dataclass(frozen=True, kw_only=True)
class Access:
    """Ports and credentials of a stack; kept in `access.json`, for its owner only."""

    postgres_port: int
    s3_port: int
    mlflow_port: int
    inner_ports: tuple[int, ...]
    postgres_password: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    s3_key: str = field(default_factory=lambda: secrets.token_hex(10))
    s3_secret: str = field(default_factory=lambda: secrets.token_urlsafe(30), repr=False)

    @classmethod
    def in_folder(cls, folder: Path) -> "Access":
        """What the folder's stack has, or new values."""
        path = folder / "access.json"
        if path.is_file():
            read = json.loads(path.read_text("utf-8"))
            return cls(**{**read, "inner_ports": tuple(read["inner_ports"])})
        first, second, third, *inner = free_ports(10)
        made = cls(postgres_port=first, s3_port=second, mlflow_port=third, inner_ports=tuple(inner))
        write_secret(path, json.dumps(asdict(made), indent=2))
        return made

    @property
    def mlflow_uri(self) -> str:
        """Address of the MLflow server."""
        return f"http://{HOST}:{self.mlflow_port}"

    @property
    def postgres_uri(self) -> str:
        """Address of MLflow's database, without the password."""
        return f"postgresql+psycopg2://{USER}@{HOST}:{self.postgres_port}/{DATABASE}"

    @property
    def s3_uri(self) -> str:
        """Address of the S3 gateway."""
        return f"http://{HOST}:{self.s3_port}"

    def s3_environment(self) -> dict[str, str]:
        """What an S3 client needs."""
        return {
            "AWS_ACCESS_KEY_ID": self.s3_key,
            "AWS_SECRET_ACCESS_KEY": self.s3_secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "MLFLOW_S3_ENDPOINT_URL": self.s3_uri,
        }

    def client_environment(self) -> dict[str, str]:
        """What a user of the stack needs."""
        return {**SWITCHES, "MLFLOW_TRACKING_URI": self.mlflow_uri, **self.s3_environment()}


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner may read, from its first byte on."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
