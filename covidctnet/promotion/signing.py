"""Ed25519 signatures (RFC 8032): who holds the private key writes, who holds the public key checks."""

import base64
import binascii
import os
from pathlib import Path
from typing import TYPE_CHECKING

from covidctnet.errors import PromotionError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

PROMOTION_LOG, BUNDLE = "covidctnet promotion log v1\n", "covidctnet bundle v1\n"
"""Purposes. One is part of every signed message, so that a signature for another purpose is none here."""


class Verifier:
    """Checks signatures with a public key, for one purpose."""

    def __init__(self, key: "Ed25519PublicKey", purpose: str = PROMOTION_LOG) -> None:
        self._key, self._purpose = key, purpose

    @classmethod
    def load(cls, path: Path, purpose: str = PROMOTION_LOG) -> "Verifier":
        """Read a public key in PEM.

        Raises:
            PromotionError: it is missing, or no Ed25519 key.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            key = load_pem_public_key(_read(path, "public"))
        except ValueError:
            raise PromotionError(f"{path.name} is no public key in PEM") from None
        if not isinstance(key, Ed25519PublicKey):
            raise PromotionError(f"{path.name} must be an Ed25519 key; make one with `covidctnet model key`")
        return cls(key, purpose)

    def accepts(self, message: str, signature: str) -> bool:
        """Whether a signature in base64 fits the message."""
        from cryptography.exceptions import InvalidSignature

        try:
            self._key.verify(base64.b64decode(signature, validate=True), (self._purpose + message).encode())
        except (InvalidSignature, binascii.Error, ValueError):
            return False
        return True


class Signer:
    """Signs with a private key, for one purpose."""

    def __init__(self, key: "Ed25519PrivateKey", purpose: str = PROMOTION_LOG) -> None:
        self._key, self._purpose = key, purpose

    @classmethod
    def load(cls, path: Path, purpose: str = PROMOTION_LOG) -> "Signer":
        """Read a private key in PEM.

        Raises:
            PromotionError: it is missing, readable by others, encrypted, or no Ed25519 key.
        """
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        content = _read(path, "private")
        if path.stat().st_mode & 0o007:
            raise PromotionError(f"{path.name} is open to everyone on this machine; take their rights away (chmod 600)")
        try:
            key = load_pem_private_key(content, password=None)
        except (ValueError, TypeError):
            raise PromotionError(f"{path.name} is no private key in PEM without password") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise PromotionError(f"{path.name} must be an Ed25519 key; make one with `covidctnet model key`")
        return cls(key, purpose)

    @property
    def verifier(self) -> Verifier:
        """Of the matching public key."""
        return Verifier(self._key.public_key(), self._purpose)

    def sign(self, message: str) -> str:
        """Signature in base64; the same message gives the same signature."""
        return base64.b64encode(self._key.sign((self._purpose + message).encode())).decode("ascii")


def public_path(private: Path) -> Path:
    """Where the public key of a private key is."""
    return private.with_suffix(".pub.pem")


def make_keys(private: Path) -> Path:
    """Make a pair of keys: the private one for its owner only, the public one beside it.

    Returns:
        Path of the public key.

    Raises:
        PromotionError: a key is there already; it would make the log unreadable to replace it.
    """
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

    key = Ed25519PrivateKey.generate()
    private.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(private, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise PromotionError(f"{private.name} is there already; a log is checked with the key that signed it") from None
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    public = public_path(private)
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public


def _read(path: Path, kind: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise PromotionError(
            f"the {kind} key {path.name} cannot be read; make a pair with `covidctnet model key`, or name it"
        ) from None
