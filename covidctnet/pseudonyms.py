"""Keyed pseudonyms: the same patient gets the same one, and only who holds the key can tell which.

A pseudonym is HMAC-SHA256 of site and PatientID under a secret key, and names the key that made it. The keys are
outside of data and code: in an environment variable, or in a file that only its owner can read.
"""

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from covidctnet.errors import PseudonymKeyError

KEYS_VARIABLE = "COVIDCTNET_PSEUDONYM_KEYS"
"""Keys themselves: hexadecimal, oldest first, separated by commas."""

FILE_VARIABLE = "COVIDCTNET_PSEUDONYM_KEY_FILE"
"""Path of the key file."""

_SECRET_BYTES = 32
_MOST_DAYS = 3650
_DATE = re.compile(r"(\d{4})(\d{2})(\d{2})")
_PSEUDONYM = re.compile(r"p([0-9a-f]{6})-[0-9a-f]{20}")


@dataclass(frozen=True, kw_only=True)
class Pseudonym:
    """What stands for one patient.

    Attributes:
        patient: goes into the images and `cohort.csv`.
        secret: for identifiers that must be the same each time and tell nothing; never written.
    """

    patient: str
    secret: bytes

    def uid(self, *parts: str) -> str:
        """A UID that only depends on the key, the patient and these parts (DICOM PS3.5 B.2, UUID derived)."""
        digest = hmac.new(self.secret, "\0".join(("uid", *parts)).encode(), hashlib.sha256).digest()
        return f"2.25.{int.from_bytes(digest[:16], 'big')}"

    def shift(self, value: str) -> str | None:
        """A DICOM date moved back by the patient's own number of days; None where it is no date.

        Source: DICOM PS3.15 E.3.6, Retain Longitudinal Temporal Information with Modified Dates.
        """
        found = _DATE.fullmatch(value.strip())
        if not found:
            return None
        digest = hmac.new(self.secret, b"days", hashlib.sha256).digest()
        days = 1 + int.from_bytes(digest[:8], "big") % _MOST_DAYS
        try:
            return f"{date(*map(int, found.groups())) - timedelta(days=days):%Y%m%d}".rjust(8, "0")
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True)
class KeyRing:
    """Secret keys, oldest first; the last one names new patients."""

    keys: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not self.keys or any(len(key) < 16 for key in self.keys):
            raise PseudonymKeyError("a key ring holds at least one key of at least 16 bytes")

    def __repr__(self) -> str:
        return f"KeyRing({', '.join(map(key_id, self.keys))})"

    def resolve(self, site: str, patient_id: str, known: Collection[str]) -> Pseudonym:
        """The pseudonym of a patient: the one that `known` holds under any key, else one of the newest key.

        Args:
            site: pseudonym of the site; the same number at two hospitals is two patients.
            patient_id: PatientID (0010,0020) as the hospital writes it; case and outer blanks do not matter.
            known: patients of the cohort.

        Raises:
            PseudonymKeyError: PatientID is empty.
        """
        if not patient_id.strip():
            raise PseudonymKeyError("PatientID is empty: this patient cannot be told from others; name the patient")
        made = [_make(key, site, patient_id) for key in self.keys]
        return next((one for one in made if one.patient in known), made[-1])

    def require(self, patients: Collection[str]) -> None:
        """Check that every key that made one of these pseudonyms is there.

        Raises:
            PseudonymKeyError: one is not; a patient who comes again would get a second pseudonym, and could
                end up in training and hold-out both.
        """
        used = {found.group(1) for patient in patients if (found := _PSEUDONYM.fullmatch(patient))}
        missing = sorted(used - set(map(key_id, self.keys)))
        if missing:
            raise PseudonymKeyError(
                f"the cohort was made with the key {missing[0]}, which is not among "
                f"{', '.join(map(key_id, self.keys))}; point {FILE_VARIABLE} to the key file of this cohort"
            )

    def rotated(self) -> "KeyRing":
        """This ring with a new key; the old ones stay, to recognise the patients that they named."""
        return KeyRing((*self.keys, secrets.token_bytes(_SECRET_BYTES)))


def key_id(key: bytes) -> str:
    """What names a key and tells nothing of it: six hexadecimal digits."""
    return hmac.new(key, b"id", hashlib.sha256).hexdigest()[:6]


def _make(key: bytes, site: str, patient_id: str) -> Pseudonym:
    secret = hmac.new(key, f"{site}\0{patient_id.strip().casefold()}".encode(), hashlib.sha256).digest()
    name = hmac.new(secret, b"name", hashlib.sha256).hexdigest()[:20]
    return Pseudonym(patient=f"p{key_id(key)}-{name}", secret=secret)


def default_key_file(environment: Mapping[str, str] = os.environ) -> Path:
    """Where the keys are: `COVIDCTNET_PSEUDONYM_KEY_FILE`, else the user's configuration folder."""
    if environment.get(FILE_VARIABLE):
        return Path(environment[FILE_VARIABLE])
    base = environment.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "covidctnet" / "pseudonym-keys.json"


def load_keys(path: Path | None = None, *, outside: Path | None = None) -> KeyRing:
    """The keys of the environment, else of the file; the file is made on first use, readable by its owner alone.

    Args:
        path: of the key file; `default_key_file()` when None.
        outside: a folder that the key file must not be in: the data, which others get.

    Raises:
        PseudonymKeyError: the file is malformed, readable by others, or inside of `outside`.
    """
    named = os.environ.get(KEYS_VARIABLE)
    if named and path is None:
        try:
            return KeyRing(tuple(bytes.fromhex(part) for part in named.split(",")))
        except ValueError:
            raise PseudonymKeyError(f"{KEYS_VARIABLE} must hold hexadecimal keys, separated by commas") from None
    path = path or default_key_file()
    if outside is not None and path.resolve().is_relative_to(outside.resolve()):
        raise PseudonymKeyError("the key file is inside the data folder, which others get; keep it elsewhere")
    if not path.exists():
        _write(path, KeyRing((secrets.token_bytes(_SECRET_BYTES),)))
    if path.stat().st_mode & 0o077:
        raise PseudonymKeyError("the key file can be read by others; take their rights away (chmod 600)")
    try:
        return KeyRing(tuple(bytes.fromhex(entry) for entry in json.loads(path.read_text("utf-8"))["keys"]))
    except (ValueError, KeyError, TypeError):
        raise PseudonymKeyError(
            "the key file is damaged; bring it back from its copy, and never make a new one"
        ) from None


def rotate_keys(path: Path | None = None) -> KeyRing:
    """Add a new key to the file; patients who are in a cohort already keep their pseudonyms."""
    ring = load_keys(path or default_key_file()).rotated()
    _write(path or default_key_file(), ring)
    return ring


def _write(path: Path, ring: KeyRing) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"keys": [key.hex() for key in ring.keys]}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)
