"""Every address that a command and its children ask for.

```
python -m tests.helpers.connections [--namespace] -- COMMAND      # prints them; ends with the command's exit code
```

Python's audit hook sees what Python code asks for, in every process that starts with the caller's path. With
`--namespace` the command runs in a network of its own that leads nowhere, where a packet of compiled code is seen
too; that needs root on Linux.
"""

import contextlib
import ipaddress
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_AUDIT = Path(__file__).parent / "audit"
_ROOT = Path(__file__).parents[2]
_DNS = 53


@dataclass(frozen=True)
class Attempt:
    """One address that was asked for: by a name or a number, with the port where there is one."""

    event: str
    host: str
    port: int | None
    command: str

    @property
    def is_local(self) -> bool:
        """Whether it is loopback or a file of this machine; a question to a name server never is."""
        if self.event == "packet" and self.port == _DNS:
            return False
        if self.host in ("", "localhost") or self.host.startswith("/"):
            return True
        with contextlib.suppress(ValueError):
            address = ipaddress.ip_address(self.host)
            return address.is_loopback or address.is_unspecified
        return False


@dataclass(frozen=True)
class Recorded:
    """What a command did: exit code, output and addresses."""

    code: int
    output: str
    attempts: tuple[Attempt, ...]

    @property
    def outside(self) -> set[str]:
        """Hosts that are not this machine."""
        return {attempt.host for attempt in self.attempts if not attempt.is_local}

    @property
    def ports(self) -> set[int]:
        """Ports of this machine that were connected to."""
        return {
            attempt.port
            for attempt in self.attempts
            if attempt.event == "socket.connect" and attempt.is_local and attempt.port
        }


def can_make_namespace() -> bool:
    """Whether this machine lets us make a network of our own."""
    return subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0


def record(
    command: Sequence[str], *, namespace: bool = False, environment: Mapping[str, str] | None = None
) -> Recorded:
    """Run a command and note the addresses.

    Args:
        command: program and arguments.
        namespace: in a network of its own, with loopback up.
        environment: takes the place of the caller's.
    """
    with tempfile.TemporaryDirectory() as folder:
        notes = Path(folder) / "notes.jsonl"
        base = dict(os.environ if environment is None else environment)
        paths = [str(_AUDIT), str(_ROOT), *filter(None, [base.get("PYTHONPATH")])]
        env = {**base, "PYTHONPATH": os.pathsep.join(paths), "CONNECTIONS_FILE": str(notes)}
        # libraries stay silent where they believe to be tested, which is not what is asked here.
        for name in ("PYTEST_CURRENT_TEST", "CI", "GITHUB_ACTIONS"):
            env.pop(name, None)
        inside = [sys.executable, "-m", __spec__.name, "--inside", "--", *command]
        result = subprocess.run(
            ["unshare", "--net", *inside] if namespace else list(command),
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        lines = notes.read_text("utf-8").splitlines() if notes.is_file() else []
    return Recorded(result.returncode, result.stdout, tuple(_read(line) for line in lines))


def _read(line: str) -> Attempt:
    note = json.loads(line)
    address = note["address"]
    parts = list(address) if isinstance(address, list) else [address]
    port = parts[1] if len(parts) > 1 and str(parts[1]).isdigit() else None
    return Attempt(note["event"], str(parts[0] or ""), int(port) if port else None, note["command"])


def _run_inside(command: Sequence[str]) -> int:
    """In the new network: loopback, which also takes the packets for all other addresses and drops them."""
    for arguments in ("link set lo up", "route add default dev lo"):
        subprocess.run(["ip", *arguments.split()], check=True)
    with _sniff(Path(os.environ["CONNECTIONS_FILE"])):
        return subprocess.run(command, check=False).returncode


@contextlib.contextmanager
def _sniff(notes: Path) -> Iterator[None]:
    """Note the IPv4 packets that leave, or that ask a name server on this machine."""
    every_protocol = 3
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(every_protocol)) as link:
        link.settimeout(0.2)
        done = threading.Event()

        def listen() -> None:
            seen: set[tuple[str, int]] = set()
            while not done.is_set():
                with contextlib.suppress(TimeoutError):
                    data, about = link.recvfrom(65535)
                    target = _destination(data)
                    if target and about[2] == socket.PACKET_OUTGOING and target not in seen:
                        seen.add(target)
                        if not ipaddress.ip_address(target[0]).is_loopback or target[1] == _DNS:
                            _note_packet(notes, target)

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _destination(packet: bytes) -> tuple[str, int] | None:
    """Address and port of an IPv4 packet (RFC 791: header length in the low half of byte 0, target at byte 16)."""
    if len(packet) < 20 or packet[0] >> 4 != 4:
        return None
    start = (packet[0] & 15) * 4
    port = struct.unpack("!H", packet[start + 2 : start + 4])[0] if packet[9] in (6, 17) else 0
    return socket.inet_ntoa(packet[16:20]), port


def _note_packet(notes: Path, target: tuple[str, int]) -> None:
    with notes.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"event": "packet", "address": target, "command": ""}) + "\n")


def main(arguments: list[str]) -> int:
    """The command line of this module."""
    options, _, command = (arguments[: (at := arguments.index("--"))], None, arguments[at + 1 :])
    if "--inside" in options:
        return _run_inside(command)
    recorded = record(command, namespace="--namespace" in options)
    sys.stderr.write(recorded.output)
    for attempt in dict.fromkeys(recorded.attempts):
        where = "here   " if attempt.is_local else "OUTSIDE"
        sys.stdout.write(f"{where} {attempt.event} {attempt.host}:{attempt.port or ''}  {attempt.command}\n")
    return recorded.code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
