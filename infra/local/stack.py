"""PostgreSQL, SeaweedFS S3 and an MLflow server on loopback, as a cluster has them.

```
python -m infra.local.stack FOLDER                # until Ctrl-C; `. FOLDER/client.env` in another shell
python -m infra.local.stack FOLDER -- COMMAND     # with the services up; ends with the command's exit code
```

Ports are free ones and credentials are made anew, unless FOLDER holds a stack already; then it goes on with its data.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from covidctnet.errors import CovidCTNetError
from covidctnet.telemetry import SWITCHES
from infra.local.access import Access, write_secret
from infra.local.postgres import make_database, make_postgres
from infra.local.seaweed import BUCKET, make_bucket, make_seaweed
from infra.local.service import HOST, Service, answers


class LocalStack:
    """The three services; a context that leaves none of them running.

    Args:
        folder: data, logs and credentials. Run as root, PostgreSQL's own user must be able to reach it.
        on_start: told of each service as it answers.

    Raises:
        StackError: a service is not installed, or does not start.
    """

    def __init__(self, folder: Path, *, on_start: Callable[[Service], None] = lambda service: None) -> None:
        self.folder = folder.resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.access = Access.in_folder(self.folder)
        self.postgres = make_postgres(self.folder, self.access)
        self.seaweed = make_seaweed(self.folder, self.access)
        self.mlflow = make_mlflow(self.folder, self.access)
        self._started, self._on_start = ExitStack(), on_start

    @property
    def services(self) -> tuple[Service, ...]:
        """All three, in the order of their start."""
        return self.postgres, self.seaweed, self.mlflow

    def __enter__(self) -> Self:
        try:
            self._start(self.postgres)
            make_database(self.access)
            self._start(self.seaweed)
            make_bucket(self.access)
            self._start(self.mlflow)
        except BaseException:
            self._started.close()
            raise
        lines = [f"export {name}={shlex.quote(value)}" for name, value in self.access.client_environment().items()]
        write_secret(self.folder / "client.env", "\n".join(lines) + "\n")
        return self

    def _start(self, service: Service) -> None:
        self._started.callback(service.stop)
        service.start()
        self._on_start(service)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._started.close()


def make_mlflow(folder: Path, access: Access) -> Service:
    """The MLflow server: runs and models in PostgreSQL, artifacts in S3 through the server, so clients need no keys."""
    return Service(
        name="MLflow",
        command=[
            sys.executable,
            "-m",
            "mlflow",
            "server",
            "--host",
            HOST,
            "--port",
            str(access.mlflow_port),
            "--workers",
            "1",
            "--artifacts-destination",
            f"s3://{BUCKET}",
        ],
        environment={
            **SWITCHES,
            **access.s3_environment(),
            "MLFLOW_BACKEND_STORE_URI": access.postgres_uri,
            "PGPASSWORD": access.postgres_password,
            # Jobs of generative models: seven more processes.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "PYTHONWARNINGS": "ignore",
        },
        log=folder / "mlflow.log",
        healthy=lambda: answers(f"{access.mlflow_uri}/health"),
    )


def main(arguments: list[str]) -> int:
    """Run the stack in the foreground, or around a command."""
    if not arguments or (len(arguments) > 1 and arguments[1] != "--"):
        sys.stderr.write(__doc__ or "")
        return 2
    # A stop in order for both: the services end with the context.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with LocalStack(Path(arguments[0])) as stack:
            sys.stderr.write(f"MLflow at {stack.access.mlflow_uri}, S3 at {stack.access.s3_uri}\n")
            if arguments[2:]:
                environment = {**os.environ, **stack.access.client_environment()}
                return subprocess.run(arguments[2:], env=environment, check=False).returncode
            signal.pause()
    except KeyboardInterrupt:
        return 0
    except CovidCTNetError as error:
        sys.stderr.write(f"{error}\n")
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
