"""PostgreSQL of the local stack: one cluster in a folder, one user, one database, passwords only."""

import os
import pwd
import signal
import subprocess
from pathlib import Path

from infra.local.access import DATABASE, USER, Access, write_secret
from infra.local.service import HOST, Service, StackError, find_program

_SYSTEM_USER = "postgres"
"""Made by the Debian package; PostgreSQL refuses to run as root."""


def make_postgres(folder: Path, access: Access) -> Service:
    """The server, whose data are in `folder/postgres`; they are made where they are not there."""
    _init_cluster(folder, access)
    settings = {
        "listen_addresses": HOST,
        "port": str(access.postgres_port),
        "unix_socket_directories": "",
        "logging_collector": "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    ready = [find_postgres_program("pg_isready"), "-q", "-h", HOST, "-p", str(access.postgres_port)]
    return Service(
        name="PostgreSQL",
        command=[find_postgres_program("postgres"), "-D", str(folder / "postgres"), *options],
        log=folder / "postgres.log",
        healthy=lambda: subprocess.run(ready, check=False).returncode == 0,
        # A fast shutdown: it ends the sessions and writes all down.
        stop_signal=signal.SIGINT,
        user=_system_user(),
    )


def postgres_is_installed() -> bool:
    """Whether the server's programs are there."""
    try:
        find_postgres_program("initdb")
    except StackError:
        return False
    return True


def make_database(access: Access) -> None:
    """Make MLflow's database in a running server, where it is not there."""
    command = [
        find_postgres_program("createdb"),
        "-h",
        HOST,
        "-p",
        str(access.postgres_port),
        "-U",
        USER,
        "-w",
        DATABASE,
    ]
    environment = {**os.environ, "PGPASSWORD": access.postgres_password}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode and "already exists" not in result.stderr:
        raise StackError(f"createdb failed: {result.stderr.strip()}")


def _init_cluster(folder: Path, access: Access) -> None:
    data = folder / "postgres"
    if (data / "PG_VERSION").is_file():
        return
    data.mkdir(exist_ok=True, mode=0o700)
    password = folder / "postgres.password"
    write_secret(password, access.postgres_password)
    command = [
        find_postgres_program("initdb"), "-D", str(data), "-U", USER, f"--pwfile={password}", "-A", "scram-sha-256",
        "-E", "UTF8", "--locale=C.UTF-8",
    ]  # fmt: skip
    user = _system_user()
    if user:
        entry = pwd.getpwnam(user)
        for path in (data, password):
            os.chown(path, entry.pw_uid, entry.pw_gid)
        command = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", *command]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
    password.unlink()
    if result.returncode:
        raise StackError(f"initdb failed; can {user or 'this user'} reach the folder? {result.stderr.strip()[-200:]}")


def _system_user() -> str | None:
    return _SYSTEM_USER if os.geteuid() == 0 else None


def find_postgres_program(name: str) -> str:
    """Path of one of PostgreSQL's programs, of the newest release that is installed.

    Raises:
        StackError: it is not installed.
    """
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -int(path.parent.name))
    return find_program(name, *map(str, newest))
