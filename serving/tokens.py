"""Bearer tokens: kept as SHA-256 in a file that may change while the server runs, compared in constant time."""

import hashlib
import hmac
import ipaddress
import re
from pathlib import Path

from covidctnet.errors import ConfigError
from serving.errors import NotReadyError, UnauthenticatedError

_LINE = re.compile(r"^(?:(?P<name>[A-Za-z0-9._-]+):)?(?P<digest>[0-9a-f]{64})$")
_REPAIR_SECONDS = 30.0
_LOOPBACK_NAMES = frozenset({"localhost"})


def hash_token(token: str) -> str:
    """SHA-256 in hexadecimal; a token is random and long, so that no slow hash is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


def is_loopback(host: str) -> bool:
    """Whether an address is reachable from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in _LOOPBACK_NAMES


class TokenFile:
    """The hashed tokens of a file: one a line, `name:sha256` or `sha256`; `#` begins a comment.

    Args:
        path: the file, for instance a mounted secret.

    Raises:
        ConfigError: it cannot be read, holds no token, or a line is neither.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None
        self._digests: tuple[str, ...] = ()
        self._refresh()

    def require(self, authorization: str | None) -> None:
        """Let a request pass that brings a known token.

        Args:
            authorization: value of the Authorization header.

        Raises:
            UnauthenticatedError: no token, or an unknown one.
            NotReadyError: the file is gone or damaged, so that nobody can be let in.
        """
        try:
            self._refresh()
        except ConfigError as error:
            raise NotReadyError(str(error), retry_after=_REPAIR_SECONDS) from None
        scheme, _, token = (authorization or "").partition(" ")
        digest = hash_token(token.strip())
        # Every digest is compared, so that the time tells nothing about which one was near.
        known = [hmac.compare_digest(digest, one) for one in self._digests]
        if scheme.lower() != "bearer" or not any(known):
            raise UnauthenticatedError("send the header Authorization: Bearer TOKEN")

    def _refresh(self) -> None:
        try:
            status = self._path.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp:
                return
            lines = self._path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the token file cannot be read ({type(error).__name__})") from None
        self._digests, self._stamp = _parse(lines), stamp


def _parse(lines: list[str]) -> tuple[str, ...]:
    digests = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.match(text)
        if match is None:
            raise ConfigError(f"line {number} of the token file is not name:sha256; hash the token with sha256sum")
        if match["digest"] == hash_token(""):
            raise ConfigError(f"line {number} of the token file is the hash of an empty token; make one that is random")
        digests.append(match["digest"])
    if not digests:
        raise ConfigError("the token file holds no token; add a line name:sha256")
    return tuple(digests)


def require_access(tokens: Path | None, *, no_auth: bool, host: str) -> TokenFile | None:
    """The tokens to ask for; None where none is asked for, which only a loopback address may do.

    Raises:
        ConfigError: neither tokens nor `no_auth`, both, or `no_auth` on an address that others reach.
    """
    if (tokens is None) != no_auth:
        raise ConfigError("give either a file of tokens (--tokens) or --no-auth")
    if tokens is not None:
        return TokenFile(tokens)
    if not is_loopback(host):
        raise ConfigError(f"--no-auth is for loopback addresses only, not {host}; give a file of tokens (--tokens)")
    return None
